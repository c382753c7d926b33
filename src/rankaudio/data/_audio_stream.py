"""Reading an audio file from its start to its end, a part at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from rankaudio.data._audio import check_rates_of_file, cut_part
from rankaudio.data._decode import read_blocks, read_header, to_mono
from rankaudio.data._source import Source
from rankaudio.resampling import resampled_length

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AudioStream:
    """Parts of a file, one after the other: the same samples as in the whole file.

    The file is decoded once if no part begins before the last one. What comes before a part is forgotten, so
    the memory is that of a part and a decoded block.

    Attributes:
        length: samples of the whole file at the wanted rate.
    """

    def __init__(self, path: Source, sample_rate: int) -> None:
        self.path, self.sample_rate = path, sample_rate
        self._header = read_header(path)
        check_rates_of_file(path, self._header.sample_rate, sample_rate)
        self.length = resampled_length(self._header.frames, self._header.sample_rate, sample_rate)
        self._restart()

    def read(self, first: int, count: int) -> Tensor:
        """Return ``count`` samples from ``first``, both at the wanted rate."""
        return cut_part(self.path, self._header, self.sample_rate, first, count, read_mono=self._read_mono)

    def _restart(self) -> None:
        self._blocks = read_blocks(self.path, self._header, 0, self._header.frames)
        self._kept, self._start = bytearray(), 0

    def _read_mono(self, start: int, frames: int) -> NDArray[np.float32]:
        import numpy as np

        if start < self._start:
            self._restart()
        while self._start + len(self._kept) // 4 < start + frames:
            self._forget(start)
            stop = self._start + len(self._kept) // 4
            self._kept += to_mono(self.path, self._header, next(self._blocks), stop).tobytes()
        self._forget(start)
        return np.frombuffer(self._kept[: 4 * frames], np.float32)

    def _forget(self, start: int) -> None:
        """Drop what comes before a sample."""
        known = min(start - self._start, len(self._kept) // 4)
        del self._kept[: 4 * known]
        self._start += known
