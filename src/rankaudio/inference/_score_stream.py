"""The score of a recording of any length in little memory, equal to that of the whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from rankaudio._checks import check_integer, describe
from rankaudio.data._audio_stream import AudioStream
from rankaudio.inference._predict_long import WindowScores, check_recording
from rankaudio.inference._stream import Stream, StreamScores, check_block
from rankaudio.tagger import Tagger

# Samples of a file that are read at once.
_BLOCK = 1 << 18


def score_stream(
    tagger: Tagger,
    waveform: Tensor | str | Path | Iterable[Tensor],
    *,
    window: float | None = None,
    hop: float | None = None,
    max_samples: int = 60 * 44_100,
) -> StreamScores:
    r"""Score a recording part by part, exactly as if all of it were scored at once.

    .. math:: s = \mathit{classifier}\Bigl(\max_{u} \, y_u\Bigr)

    :class:`Stream` has the definition, also of the windows, and says which taggers are taken. The scores are
    those of ``tagger(waveform[None])``, but for rounding. A file is read from its start to its end, and a
    block is dropped when its part has been computed. So the memory does not depend on the length of the
    recording, except for the scores of its windows.

    Args:
        tagger: as for :class:`Stream`.
        waveform: ``(T,)`` floating point, at least one sample. Or the path of an audio file, which is
            resampled to the rate of the tagger, as by :func:`rankaudio.load_audio`. Or the blocks ``(T,)`` of
            a recording in the order of time, from a list or a generator.
        window: seconds of a running window, as for :class:`Stream`.
        hop: seconds between the starts of windows, as for :class:`Stream`.
        max_samples: samples that are computed at once, without the halo before them. At least one cell of the
            network with its halo is computed. Longer parts take less time and more memory.

    Returns:
        The score of the whole recording, that of each window, and the length in seconds.

    Raises:
        TypeError: if the recording is none of these, or a setting has the wrong type. For the tagger as
            :class:`Stream`.
        ValueError: if a block is not ``(T,)``, there is no sample, or a setting is out of range. For the
            tagger as :class:`Stream`, and for a file as :func:`rankaudio.load_audio`, which has the other
            errors of files too.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8)).eval()
    >>> waveform = torch.randn(441_000)
    >>> scores, windows, seconds = score_stream(
    ...     tagger, waveform, window=5.0, max_samples=88_200
    ... )
    >>> torch.allclose(scores, tagger(waveform[None])[0], atol=1e-5), seconds
    (True, 10.0)
    >>> windows.scores.shape
    torch.Size([2, 2])
    """
    check_integer("max_samples", max_samples)
    least = Stream(tagger)
    latency = max(least.latency, max_samples / least.sample_rate)
    stream = Stream(tagger, window=window, hop=hop, latency=latency)
    found: list[WindowScores] = []
    for name, block in _blocks(waveform, stream.sample_rate):
        new = stream.push(check_block(name, block, None)).windows
        found += [new] if len(new.starts) else []
    end = stream.finish()
    parts = zip(*found, end.windows, strict=True)
    return end._replace(windows=WindowScores(*(torch.cat(part) for part in parts)))


def _blocks(waveform: object, rate: int) -> Iterator[tuple[str, object]]:
    """Yield the name of each block, for messages, and the block."""
    if isinstance(waveform, (str, os.PathLike)):
        file = AudioStream(Path(waveform), rate)
        for first in range(0, file.length, _BLOCK):
            yield "waveform", file.read(first, min(_BLOCK, file.length - first))
    elif isinstance(waveform, Tensor):
        check_recording(waveform)
        yield "waveform", waveform
    elif isinstance(waveform, Iterable):
        empty = True
        for index, block in enumerate(waveform):
            yield f"waveform[{index}]", block
            empty = empty and isinstance(block, Tensor) and block.numel() == 0
        if empty:
            raise ValueError("waveform: wanted at least one sample, got none in its blocks")
    else:
        wanted = "a torch.Tensor, a path or blocks of samples"
        raise TypeError(f"waveform: wanted {wanted}, got {describe(waveform)}")
