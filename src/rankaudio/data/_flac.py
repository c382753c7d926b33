"""FLAC decoded by the package miniaudio if it is there: the same samples, sooner than from libsndfile."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rankaudio.data._source import Source, open_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Larger files are decoded in blocks, because this decoder allocates what the header promises.
_MOST_VALUES = 1 << 24


def read_flac(path: Source, frames: int, channels: int) -> NDArray[np.floating] | None:
    """Decode a whole file to ``(frames, channels)``, or return None for another decoder to read or refuse it.

    The decoder stops without an error at damaged or missing data, so its result is counted.
    """
    miniaudio = _import_miniaudio()
    if miniaudio is None or frames * channels > _MOST_VALUES:
        return None
    import numpy as np

    with open_source(path) as file:
        data = file.read()
    try:
        samples = np.frombuffer(miniaudio.flac_read_f32(data).samples, np.float32)
    except miniaudio.DecodeError:
        return None
    return samples.reshape(frames, channels) if len(samples) == frames * channels else None


@functools.cache
def _import_miniaudio() -> Any:
    """Import the package, or return None. It has no wheels for some platforms."""
    try:
        import miniaudio
    except (ImportError, OSError):
        return None
    return miniaudio
