"""Features of the time steps of a recording whose samples arrive in blocks.

A part of the recording is computed as soon as all samples that it depends on are there. Its edges, where a
frame or a convolution would see the cut, are left out. So the features are those of the whole recording.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio.backbones import Network
from rankaudio.side_inputs import names_of_side_inputs
from rankaudio.spectral import DecibelMel, LogMel, LogSTFT
from rankaudio.tagger import Tagger

_CURE = "predict_long scores windows with any tagger"
# A subclass may compute anything from the whole clip, so only these classes themselves are taken.
_FRONTENDS = (LogMel, LogSTFT, DecibelMel)


def check_frontend(frontend: nn.Module) -> None:
    """Refuse a frontend with a frame that depends on more than the samples in its window."""
    if type(frontend) not in _FRONTENDS:
        names = ", ".join(each.__name__ for each in _FRONTENDS)
        raise TypeError(
            f"tagger: wanted a frontend among {names}, whose frames depend on nearby samples only, "
            f"got {type(frontend).__name__}; {_CURE}"
        )
    if getattr(frontend, "pad_mode", None) == "same":
        raise ValueError(
            "tagger: wanted a frontend with pad_mode='reflect' or 'constant', got 'same', whose frames begin "
            f"where the length of the whole recording says; {_CURE}"
        )
    if isinstance(frontend, DecibelMel) and (frontend.top_db is not None or frontend.ref == "max"):
        raise ValueError(
            f"tagger: wanted DecibelMel with top_db=None and a number as ref, got top_db={frontend.top_db} "
            f"and ref={frontend.ref!r}, which refer to the loudest sound of the whole recording; {_CURE}"
        )


def check_network(backbone: nn.Module) -> tuple[int, int]:
    """Return the frames of a cell and of its halo; refuse a network that needs the whole recording."""
    name = type(backbone).__name__
    side = names_of_side_inputs(backbone)
    if side:
        raise ValueError(
            f"tagger: wanted a network without side inputs, got {name} with {', '.join(side)}, which are "
            f"those of the whole recording; {_CURE}"
        )
    cell, halo = (getattr(backbone, name, None) for name in ("cell_frames", "halo_frames"))
    if not isinstance(backbone, Network) or cell is None or halo is None:
        raise TypeError(
            f"tagger: wanted a network with cell_frames and halo_frames, such as CNN2d with pooling='max', "
            f"got {name}, whose steps may depend on the whole recording; {_CURE}"
        )
    return cell, halo


class StepStream:
    """The features of steps, one part of the recording after the other.

    A part is some cells of the network, which also gets cells before the part and frames after it. At the end
    of a recording, steps after the last output of a deep block have the value of this output. So the network
    gets at least one cell before a part.

    Attributes:
        n_samples: samples that have arrived.
        n_steps: steps whose features were returned.
    """

    def __init__(self, tagger: Tagger, cells: int) -> None:
        frontend = tagger.frontend
        cell, self._halo = check_network(tagger.backbone)
        self._tagger, self._size = tagger, cells * cell
        self._before = max(1, -(-self._halo // cell)) * cell
        self._step = int(tagger.backbone.frames_per_step)  # type: ignore[arg-type]
        self._hop, self._side = int(frontend.hop_length), int(frontend.n_fft) // 2  # type: ignore[arg-type]
        # Frames before new ones are computed with them, because the first ones see the cut.
        self._edge = self._side // self._hop + 1
        self._samples = torch.empty(0)
        self._frames: Tensor | None = None
        self._first_sample = self._first_frame = self._end_frame = 0
        self.n_samples = self.n_steps = 0

    @property
    def part_is_due(self) -> bool:
        """Whether all samples of the next part have arrived."""
        return self.n_samples == self._samples_for_part()

    @property
    def dtype(self) -> torch.dtype | None:
        """That of the samples; None before the first one."""
        return self._samples.dtype if self.n_samples else None

    def add(self, block: Tensor) -> Tensor:
        """Copy samples ``(T,)`` up to those of the next part, and return the rest."""
        if self.n_samples == 0:
            most = (self._size - 1 + max(self._halo, self._edge)) * self._hop + self._side + 1
            self._samples = block.new_empty(most)
        piece = block[: self._samples_for_part() - self.n_samples]
        first = self.n_samples - self._first_sample
        self._samples[first : first + len(piece)] = piece
        self.n_samples += len(piece)
        return block[len(piece) :]

    def next_part(self) -> Tensor:
        """Return the features ``(d, S)`` of a part that is due."""
        self._compute_frames(self._end_of_part())
        return self._features(self._size // self._step)

    def last_part(self) -> Tensor:
        """Return the features ``(d, S)`` of all steps that are left at the end of the recording."""
        end = self.n_samples // self._hop + 1
        if end > self._end_frame:
            self._compute_frames(end)
        return self._features(None)

    def _end_of_part(self) -> int:
        return self.n_steps * self._step + self._size + self._halo

    def _samples_for_part(self) -> int:
        # The window of frame j ends half a window after its middle, j hops from the start. A mirror image at
        # the start of the recording needs one more sample.
        return (self._end_of_part() - 1) * self._hop + self._side + 1

    def _compute_frames(self, end: int) -> None:
        """Append the frames up to ``end``, and forget the samples that no later frame needs."""
        first = max(0, self._end_frame - self._edge)
        part = self._samples[first * self._hop - self._first_sample : self.n_samples - self._first_sample]
        parameter = next(self._tagger.parameters(), part)
        spectrogram = self._tagger.spectrogram(part[None].to(parameter.device))[0]
        new = spectrogram[..., self._end_frame - first : end - first]
        self._frames = new if self._frames is None else torch.cat([self._frames, new], dim=-1)
        self._end_frame = end
        kept = max(0, end - self._edge) * self._hop
        rest = self._samples[kept - self._first_sample : self.n_samples - self._first_sample].clone()
        self._samples[: len(rest)] = rest
        self._first_sample = kept

    def _features(self, n_steps: int | None) -> Tensor:
        """Return the features of the next steps, and forget the frames that no later step needs."""
        features, steps = self._tagger.backbone.step_features(self._frames)  # type: ignore[operator]
        first = self.n_steps - self._first_frame // self._step
        end = int(features.shape[-1] if steps is None else steps) if n_steps is None else first + n_steps
        self.n_steps += end - first
        kept = max(0, self.n_steps * self._step - self._before)
        if self._frames is not None and n_steps is not None:
            self._frames = self._frames[..., kept - self._first_frame :].clone()
            self._first_frame = kept
        part: Tensor = features[0, :, first:end]
        return part
