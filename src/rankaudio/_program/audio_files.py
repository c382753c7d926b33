"""The audio files that a command works on, with the name of each in tables."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rankaudio._program.report import Report
from rankaudio.data import audio_info, load_audio
from rankaudio.data._audio_folder import find_audio
from rankaudio.masking import trim_silence
from rankaudio.resampling import resampled_length

# Clips that are scored between two writes of the table, in batches.
_BATCHES_OF_A_GROUP = 10
_MOST_IN_A_GROUP = 256
# Seconds that are left of every clip when silence is cut, as in the runs of the example.
_SHORTEST = 0.5


@dataclass(frozen=True)
class AudioFile:
    """A file, and its name in tables."""

    name: str
    path: Path


def find_files(paths: Sequence[Path], report: Report, *, skip: Container[str] = ()) -> list[AudioFile]:
    """Return the audio files of folders and files, in the order of the paths.

    What cannot be read is reported. Files whose names are in ``skip`` are left out.

    Raises:
        ValueError: if two files have the same name.
    """
    files: dict[str, AudioFile] = {}
    for path in paths:
        try:
            found = find_audio(path, option="PATH", skip=skip)
        except OSError as error:
            report.problem(str(path), error)
            continue
        if found.left_out():
            report.note(f"{found.left_out()}")
        for broken, reason in found.unreadable.items():
            report.problem(str(broken), reason)
        for file in found.paths:
            name = found.name(file)
            if name in files:
                raise ValueError(
                    f"PATH: wanted files with different names, got {files[name].path} and {file} for "
                    f"{name!r}; name their common folder, or take one folder after the other"
                )
            files[name] = AudioFile(name, file)
    return list(files.values())


class Clips:
    """Waveforms of files at one rate, with their lengths, for :func:`rankaudio.predict`."""

    def __init__(self, files: Sequence[AudioFile], sample_rate: int, trim: float | None) -> None:
        self.files, self._sample_rate, self._trim = files, sample_rate, trim
        infos = [audio_info(file.path) for file in files]
        self.lengths = [resampled_length(info.frames, info.sample_rate, sample_rate) for info in infos]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        waveform = load_audio(self.files[index].path, sample_rate=self._sample_rate)
        if self._trim is None:
            return waveform
        shortest = round(_SHORTEST * self._sample_rate)
        trimmed, lengths = trim_silence(waveform[None], top_db=self._trim, min_length=shortest)
        return trimmed[0, : int(lengths)].clone()


def in_groups(files: Sequence[AudioFile], *, batch: float, report: Report) -> Iterator[list[AudioFile]]:
    """Split files into groups of some batches each; ``batch`` is in seconds."""
    group: list[AudioFile] = []
    seconds = 0.0
    for file in files:
        try:
            info = audio_info(file.path)
        except (OSError, ValueError) as error:  # it has changed since its header was read
            report.problem(str(file.path), error)
            continue
        group.append(file)
        seconds += info.frames / info.sample_rate
        if seconds >= _BATCHES_OF_A_GROUP * batch or len(group) == _MOST_IN_A_GROUP:
            yield group
            group, seconds = [], 0.0
    if group:
        yield group
