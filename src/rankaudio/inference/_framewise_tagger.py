"""Scores of each time step of a clip, from a network that takes maxima over time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_instance, check_number
from rankaudio.data import load_audio
from rankaudio.inference._predict import evaluating
from rankaudio.inference._predict_long import WindowScores, check_recording
from rankaudio.side_inputs import given_or_computed
from rankaudio.tagger import Tagger


class FramewiseTagger(nn.Module):
    r"""A tagger that scores each time step of a clip: frame-wise scores of a network trained on clips.

    The network must take maxima over time before its classifier. Then the features of a clip, and those of
    step :math:`t` with a context of c steps, are maxima of the same values :math:`y`:

    .. math:: s = \mathit{classifier}\Bigl(\max_{u} \, y_u\Bigr), \qquad
        s_t = \mathit{classifier}\Bigl(\max_{|u - t| \le c} \, y_u\Bigr)

    So each feature of the clip comes from one of its steps, and a context that covers the clip gives each
    step the score of the clip. The classifier is not linear, so the score of a clip may be above or below the
    maximum over its steps. The classifier has learned from maxima over whole clips. A context of half such a
    clip therefore gives scores that mean the most, and a shorter one gives sharper times.

    A step of :class:`~rankaudio.CNN1d` and :class:`~rankaudio.CNN2d` is that of the first block that is
    pooled, 4 frames by default. Deeper blocks have longer steps, and give the same value to all steps in
    them. A step of :class:`~rankaudio.AxisPoolCNN` is 8 frames. This network takes the mean over frequency
    after the maximum. The convolutions also see frames around a step.

    Networks with recurrent layers or means over time, such as :class:`~rankaudio.SkipAttention`, are refused.
    Windows by :func:`predict_long` work with all networks.

    A clip has the same scores alone and in any padded batch. The tagger must be in eval mode. In training
    mode, batch norm in the classifier would see padding.

    Args:
        tagger: the tagger. Its backbone has ``frames_per_step`` and ``step_features``, as
            :class:`~rankaudio.backbones.Network` says, and its frontend ``hop_length`` and ``sample_rate``.
        context: seconds on each side of a step, rounded to steps.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, side inputs ``(B, ...)``,
        scores ``(B, S, C)``. Beyond the steps of a clip, scores are minus infinity.

    Raises:
        TypeError: if ``tagger`` is not a :class:`~rankaudio.Tagger`, its network has no features of steps, or
            its frontend has no hop.
        ValueError: if ``context`` is negative, or the tagger is in training mode.

    >>> network = CNN2d(2, n_blocks=3, base_depth=8)
    >>> tagger = Tagger(LogMel(hop_length=256), network, classes=["Bark", "Meow"]).eval()
    >>> framewise = FramewiseTagger(tagger, context=0.5)
    >>> framewise(torch.randn(3, 88200), torch.tensor([88200, 1, 9999])).shape
    torch.Size([3, 86, 2])
    >>> scores, starts, ends = framewise.score(torch.randn(88200))
    >>> scores.shape, round(framewise.step_seconds, 4)
    (torch.Size([86, 2]), 0.0232)
    """

    def __init__(self, tagger: Tagger, *, context: float = 0.0) -> None:
        super().__init__()
        self.tagger: Tagger = check_instance("tagger", tagger, Tagger)
        self.context: float = check_number("context", context, 0)
        backbone, frontend = tagger.backbone, tagger.frontend
        frames = getattr(backbone, "frames_per_step", None)
        if frames is None:
            raise TypeError(
                f"tagger: wanted a network with maxima over time before its classifier, such as CNN2d with "
                f"pooling='max', got {type(backbone).__name__}; predict_long scores windows with any network"
            )
        hop, rate = (getattr(frontend, name, None) for name in ("hop_length", "sample_rate"))
        if hop is None or rate is None:
            raise TypeError(
                f"tagger: wanted a frontend with hop_length and sample_rate, got {type(frontend).__name__}"
            )
        self.step_samples: int = frames * hop
        self.sample_rate: int = rate
        # Centred frames begin half a hop before their centre, where the one before ends.
        centred = getattr(frontend, "pad_mode", "reflect") != "same"
        self.first_sample: float = -hop / 2 if centred else 0.0

    @property
    def step_seconds(self) -> float:
        """Seconds from one step to the next.

        >>> FramewiseTagger(
        ...     Tagger(LogMel(sample_rate=32000, hop_length=320), CNN2d(2))
        ... ).step_seconds
        0.04
        """
        return self.step_samples / self.sample_rate

    def forward(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return scores ``(B, S, C)``. Without ``side_inputs``, those of the whole clips are computed."""
        return self._score(waveform, lengths, side_inputs)[0]

    def score(self, waveform: Tensor | str | Path) -> WindowScores:
        """Score the steps of one clip, as the windows that :func:`rankaudio.events.events` takes.

        The tagger runs in eval mode, on its device, and is in its former mode afterwards. The whole clip is
        in memory; :class:`Stream` scores hours of sound. Step t begins with its first frame. The last step
        ends with the clip.

        Args:
            waveform: ``(T,)`` floating point, at least one sample; or the path of an audio file, which is
                resampled to the rate of the tagger.

        Raises:
            TypeError: if the waveform is neither floating point nor a path.
            ValueError: if the waveform is not ``(T,)`` with a sample. For a file as
                :func:`rankaudio.load_audio`, which has the other errors of files too.
        """
        if isinstance(waveform, (str, os.PathLike)):
            waveform = load_audio(waveform, sample_rate=self.sample_rate)
        check_recording(waveform)
        parameter = next(self.tagger.parameters(), None)
        device = waveform.device if parameter is None else parameter.device
        with evaluating(self):
            scores, steps = self._score(waveform[None].to(device), None, None)
        scores = scores[0] if steps is None else scores[0, : int(steps)]  # the network may add padding
        first = torch.arange(len(scores), dtype=torch.float64) * self.step_samples + self.first_sample
        starts = first.clamp(min=0)
        ends = torch.cat([starts[1:], starts.new_tensor([len(waveform)])])
        return WindowScores(scores.float().cpu(), starts / self.sample_rate, ends / self.sample_rate)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"context={self.context}"

    def _score(
        self, waveform: Tensor, lengths: Tensor | None, side_inputs: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the scores of the steps, and the steps of each clip."""
        if self.tagger.training:
            raise ValueError("tagger: wanted eval mode, got training mode; call eval()")
        spectrogram, frames = self.tagger.spectrogram(waveform, lengths)
        side = given_or_computed(self.tagger, waveform, lengths, side_inputs, spectrogram)
        backbone = self.tagger.backbone
        settings = {"context": round(self.context / self.step_seconds)} | (
            {"side_inputs": side} if side else {}
        )
        features, steps = backbone.step_features(spectrogram, frames, **settings)  # type: ignore[operator]
        check_floating("the backbone's features of steps", features, ndim=(3,))
        classifier = check_instance("the backbone's classifier", backbone.classifier, nn.Module)
        scores = classifier(features.mT.flatten(0, 1)).unflatten(0, (features.shape[0], features.shape[2]))
        if steps is None:
            return scores, None
        beyond = torch.arange(scores.shape[1], device=scores.device) >= steps[:, None]
        return scores.masked_fill(beyond[..., None], -torch.inf), steps
