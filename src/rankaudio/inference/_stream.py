"""Scores of a recording that arrives in blocks of samples, equal to those of the whole recording."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_number, describe
from rankaudio.inference._framewise_tagger import FramewiseTagger
from rankaudio.inference._predict import evaluating
from rankaudio.inference._predict_long import WindowScores
from rankaudio.inference._stream_steps import StepStream, check_frontend, check_network
from rankaudio.inference._stream_windows import StepWindows
from rankaudio.tagger import Tagger

# Longer than any recording, and still an integer of PyTorch.
_MOST_STEPS = 2**40


class StreamScores(NamedTuple):
    """What a :class:`Stream` knows after a block, or at the end.

    >>> stream = Stream(Tagger(LogMel(), CNN2d(2, n_blocks=2, base_depth=8)))
    >>> scores, windows, seconds = stream.push(torch.randn(100))
    >>> scores, len(windows.scores), seconds
    (tensor([-inf, -inf]), 0, 0.0)
    """

    scores: Tensor
    """``(C,)`` float32 on the CPU: the score so far, which is minus infinity before the first step."""
    windows: WindowScores
    """The windows that are new since the last block, in the order of time."""
    seconds: float
    """The end of the part that has been scored, in seconds from the start of the recording."""


class Stream:
    r"""Score a recording of any length while its samples arrive, exactly as if it were scored at once.

    The network must take maxima over time before its classifier. Then the features of a recording, and those
    of a window of w steps from step a, are maxima of the same values :math:`y`:

    .. math:: s = \mathit{classifier}\Bigl(\max_{u} \, y_u\Bigr), \qquad
        s_a = \mathit{classifier}\Bigl(\max_{a \le u < a + w} \, y_u\Bigr)

    The maximum over a recording is the maximum of the maxima over its parts. So a stream computes the values
    :math:`y` part by part, and keeps the running maximum. A part is some cells of :math:`G` frames, to which
    the pooling of the network is aligned. It is computed with a halo, which is the frames on each side that
    the convolutions see. The halo and :math:`G` come from the layers of the network. The end of the recording
    is treated as in the whole recording, with its mirror image, its zeros and its rounding. So after
    :meth:`finish` the score equals that of ``tagger(waveform[None])``, but for rounding.

    A stream keeps the running maximum, the samples and frames of a part with its halo, and the steps of a
    window. So its memory does not depend on the length of the recording.

    **Latency.** A sound is scored when its part and the halo have arrived. With a part of :math:`m` cells, a
    halo of :math:`R` frames, a hop of :math:`H` samples, frames of :math:`n` samples and a sample rate
    :math:`r`, this takes at most

    .. math:: \Bigl((m G + R - \tfrac12) H + \tfrac n2\Bigr) \, / \, r

    seconds. A :class:`~rankaudio.CNN2d` with five blocks has :math:`G = 32` and :math:`R = 93`. Each part
    computes the halo again, so with a small :math:`m` most of the time is spent on halos.

    A step and the times of steps are those of :class:`FramewiseTagger`. A window of w steps has the scores of
    that class with a context of (w - 1) / 2 steps. So the network sees the sound around a window, which
    :func:`predict_long` cuts off. The windows reach the end of the recording, as there. The last one may be
    shorter than the others.

    The network is a :class:`~rankaudio.CNN1d` or :class:`~rankaudio.CNN2d` with ``pooling="max"``, or one of
    your own that sets ``cell_frames`` and ``halo_frames``, as :class:`~rankaudio.backbones.Network` says.
    A tagger that needs the whole recording is refused: one with attention, recurrent layers, side inputs, or
    a cut-off below the loudest sound. Frames and pooling by the rule "SAME" are refused too, because the
    length of the recording decides where they begin. :func:`predict_long` works with all taggers.

    Args:
        tagger: a :class:`~rankaudio.Tagger` with a network as above, and :class:`~rankaudio.LogMel`,
            :class:`~rankaudio.LogSTFT` or :class:`~rankaudio.spectral.DecibelMel` as its frontend. It runs in
            eval mode, on the device of its parameters. Between calls it is in its former mode.
        window: seconds of a running window, rounded to steps. None: no windows.
        hop: seconds from the start of a window to the next start, rounded to steps. None: ``window``.
        latency: the most seconds from a sound to its scores, which sets the size of a part. A longer latency
            takes less time in all, and more memory. None: the least one of the network.

    Attributes:
        latency: the most seconds from a sound to its scores, by the formula above. It is at most the
            argument.
        step_seconds: seconds from one step to the next.
        sample_rate: that of the samples, in Hz.

    Shapes:
        blocks of samples ``(T,)`` floating point, scores ``(C,)``, scores of W windows ``(W, C)``.

    Raises:
        TypeError: if ``tagger`` is not a :class:`~rankaudio.Tagger`, or a setting is not a number. If the
            network has no maxima over time or no halo, or the frontend is another one.
        ValueError: if the network has side inputs, or a setting of the frontend needs the whole recording. If
            a window or a hop is shorter than half a step, there is a hop and no window, or ``latency`` is
            below the least one.

    >>> tagger = Tagger(LogMel(hop_length=256), CNN2d(2, n_blocks=3, base_depth=8))
    >>> stream = Stream(tagger, window=0.5)
    >>> round(stream.latency, 3)
    0.189
    >>> waveform = torch.randn(88_200)
    >>> for block in waveform.split(4096):  # as they come from a microphone
    ...     scores, windows, seconds = stream.push(block)
    >>> scores, windows, seconds = stream.finish()
    >>> torch.allclose(scores, tagger.eval()(waveform[None])[0], atol=1e-5)
    True
    >>> seconds, windows.ends.tolist()
    (2.0, [2.0])
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        window: float | None = None,
        hop: float | None = None,
        latency: float | None = None,
    ) -> None:
        steps = FramewiseTagger(tagger)
        cell, halo = check_network(tagger.backbone)
        check_frontend(tagger.frontend)
        self.tagger: Tagger = tagger
        self.sample_rate: int = steps.sample_rate
        self.step_seconds: float = steps.step_seconds
        self._step_samples, self._first_sample = steps.step_samples, steps.first_sample
        cells, real = _part(tagger, cell, halo, latency)
        self.latency: float = real
        self._windows: StepWindows | None = self._new_windows(window, hop)
        self._steps = StepStream(tagger, cells)
        self._maxima: Tensor | None = None
        self._scores = torch.full((int(tagger.backbone.n_classes),), -torch.inf)  # type: ignore[arg-type]
        self._finished = False
        self._until = 0.0
        self._no_windows = self._window_scores(torch.empty(0, 0), 0)

    def push(self, block: Tensor) -> StreamScores:
        """Take the next samples of the recording.

        Args:
            block: ``(T,)`` floating point, from 0 samples to any number of them. All blocks have the dtype of
                the first one. The samples are copied, so the caller may write to them afterwards.

        Raises:
            TypeError: if the block is not floating point, or has another dtype than the first one.
            ValueError: if the block is not ``(T,)``, or the stream is finished.
        """
        self._check_open()
        rest = check_block("block", block, self._steps.dtype)
        found = []
        while len(rest):
            rest = self._steps.add(rest)
            if self._steps.part_is_due:
                with evaluating(self.tagger):
                    found.append(self._take(self._steps.next_part()))
        return self._result(found)

    def finish(self) -> StreamScores:
        """End the recording. The score is then that of the whole, and the windows are those that are left.

        Raises:
            ValueError: if there was no sample, or the stream is finished.
        """
        self._check_open()
        if self._steps.n_samples == 0:
            raise ValueError("block: wanted at least one sample before finish(), got none")
        with evaluating(self.tagger):
            features = self._steps.last_part()
            self._finished = True
            found = [self._take(features)]
            if self._windows is not None:
                first = self._windows.next
                found.append(self._window_scores(self._windows.last(), first))
        return self._result(found)

    def _check_open(self) -> None:
        if self._finished:
            raise ValueError(
                "stream: wanted one that is not finished, got a finished one; build a new Stream"
            )

    def _new_windows(self, window: float | None, hop: float | None) -> StepWindows | None:
        if window is None and hop is not None:
            raise ValueError(f"hop: wanted None without window, got {describe(hop)}")
        if window is None:
            return None
        size = self._whole_steps("window", window)
        return StepWindows(size, size if hop is None else self._whole_steps("hop", hop))

    def _whole_steps(self, name: str, seconds: float) -> int:
        steps = round(check_number(name, seconds, 0) / self.step_seconds)
        if steps < 1:
            raise ValueError(
                f"{name}: wanted at least half a step of {self.step_seconds:g} s, got {seconds!r}"
            )
        return min(steps, _MOST_STEPS)

    def _take(self, features: Tensor) -> WindowScores:
        """Update the score with features ``(d, S)``, and return the windows that they complete."""
        if features.shape[1]:
            highest = features.amax(1)
            self._maxima = highest if self._maxima is None else self._maxima.maximum(highest)
            self._scores = self._classify(self._maxima[None])[0]
        if self._windows is None:
            return self._window_scores(features.new_empty(0, len(features)), 0)
        first = self._windows.next
        return self._window_scores(self._windows.add(features), first)

    def _window_scores(self, maxima: Tensor, first: int) -> WindowScores:
        """Return the scores of the windows from step ``first`` on, with maxima ``(W, d)``."""
        size, hop = (0, 0) if self._windows is None else (self._windows.size, self._windows.hop)
        begin = torch.arange(len(maxima)) * hop + first
        starts, ends = self._seconds(begin), self._seconds(begin + size)
        scores = self._classify(maxima) if len(maxima) else torch.empty(0, len(self._scores))
        return WindowScores(scores, starts, ends)

    def _classify(self, features: Tensor) -> Tensor:
        scores: Tensor = self.tagger.backbone.classifier(features)  # type: ignore[operator]
        return scores.float().cpu()

    def _seconds(self, steps: Tensor) -> Tensor:
        """Return when steps begin; the last one of the recording ends with it."""
        samples = (steps.double() * self._step_samples + self._first_sample).clamp(min=0)
        if self._finished:
            samples[steps >= self._steps.n_steps] = self._steps.n_samples
        return samples / self.sample_rate

    def _result(self, found: list[WindowScores]) -> StreamScores:
        """Join windows. Copies outside of inference mode are ordinary tensors, which autograd takes."""
        windows = self._no_windows  # most blocks of a microphone complete nothing
        if found:
            windows = WindowScores(*(torch.cat(parts) for parts in zip(*found, strict=True)))
            self._until = float(self._seconds(torch.tensor(self._steps.n_steps)))
        return StreamScores(self._scores.clone(), windows, self._until)


def check_block(name: str, block: object, dtype: torch.dtype | None) -> Tensor:
    """Return samples ``(T,)``, of a dtype if one is known."""
    samples = check_floating(name, block, ndim=(1,))
    if dtype is not None and samples.dtype != dtype:
        raise TypeError(f"{name}: wanted {dtype}, that of the first block, got {describe(samples)}")
    return samples.detach()


def _part(tagger: Tagger, cell: int, halo: int, wanted: float | None) -> tuple[int, float]:
    """Return the cells of a part, and the latency in seconds, which is at most the wanted one."""
    hop, n_fft, rate = (getattr(tagger.frontend, name) for name in ("hop_length", "n_fft", "sample_rate"))

    def latency(cells: int) -> float:
        return float(((cells * cell + halo - 0.5) * hop + n_fft / 2) / rate)

    least = latency(1)
    if wanted is None:
        return 1, least
    if check_number("latency", wanted, 0) < least:
        raise ValueError(f"latency: wanted at least {least} s, the least of this tagger, got {wanted!r}")
    # Rounding may make the quotient a little less than a whole number.
    cells = 1 + int((wanted - least) * rate / (cell * hop) + 1e-6)
    return cells, latency(cells)
