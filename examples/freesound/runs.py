"""A run folder: its settings, one folder for each fold, and files that are whole or not there."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from rankaudio import Tagger

# A path is for people to read; what decides is the checksum of what lies there.
NOTES = {"extra"}
FORMAT = "freesound2019.state/1"


class Run:
    """``settings.json``, and ``fold_K`` with ``model.pt``, ``metrics.csv``, ``log.txt`` and ``valid.csv``.

    A fold that is being trained also has ``state.pt``, from before its first model to after its last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fold(self, fold: int) -> Path:
        """Where one fold is kept."""
        return self.folder / f"fold_{fold}"

    def finished(self, fold: int) -> bool:
        """Whether a fold has been trained to its end."""
        return (self.fold(fold) / "model.pt").exists() and not self.begun(fold)

    def begun(self, fold: int) -> bool:
        """Whether a fold has been begun and not finished."""
        return (self.fold(fold) / "state.pt").exists()

    def start(self, settings: dict[str, Any], folds: list[int], *, resume: bool = False) -> list[int]:
        """Make the folders, or refuse if they hold another run, or these folds already.

        Args:
            settings: what ``settings.json`` has to say, or will.
            folds: those to train.
            resume: take up what was begun, and leave out what is finished.

        Returns:
            The folds that are left to train.
        """
        self._check_settings(settings)
        done = [fold for fold in folds if self.finished(fold)]
        begun = [fold for fold in folds if self.begun(fold)]
        if not resume and begun:
            raise FileExistsError(
                f"--run: {self.folder} holds fold {_listed(begun)}, begun and not finished; go on with it "
                f"with --resume, or choose another folder or fold"
            )
        if not resume and done:
            raise FileExistsError(
                f"--run: {self.folder} holds fold {_listed(done)} already; choose another folder or fold"
            )
        left = [fold for fold in folds if fold not in done]
        if left:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "settings.json", json.dumps(settings, indent=2) + "\n")
        for fold in left:
            self.fold(fold).mkdir(exist_ok=True)
        return left

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / "settings.json"
        # Another process may begin another fold just now; its settings are there before anything else is.
        if self.folder.exists() and not path.exists() and not self._is_new() and not path.exists():
            raise FileExistsError(
                f"--run: wanted a new or empty folder, got {self.folder}, which holds other things"
            )
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = [key for key in settings if key not in NOTES and before.get(key) != settings[key]]
            if changed:
                raise ValueError(
                    f"--run: {self.folder} holds a run with other settings: "
                    + ", ".join(f"{key} {before.get(key)!r}, now {settings[key]!r}" for key in changed)
                    + "; choose another folder"
                )

    def _is_new(self) -> bool:
        """Whether it is empty, or as it was left by a process that was killed at its very first file."""
        return self.folder.is_dir() and all(
            path.name.startswith(".settings.json.") for path in self.folder.iterdir()
        )

    def models(self) -> list[Path]:
        """Every fold's best model."""
        found = sorted(self.folder.glob("fold_*/model.pt"))
        if not found:
            raise FileNotFoundError(f"--run: wanted a folder with fold_*/model.pt, got {self.folder}")
        return found

    def taggers(self, device: str) -> list[Tagger]:
        """Every fold's best model, loaded; they have to agree on the classes."""
        taggers = [Tagger.load(path, device=device) for path in self.models()]
        for path, tagger in zip(self.models(), taggers, strict=True):
            if tagger.classes != taggers[0].classes:
                raise ValueError(f"{path}: wanted the classes of the other folds, got other ones")
        return taggers


def part_of(path: Path) -> Path:
    """Where a file is written before it takes its place; in each process elsewhere."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the place and rename, so that the file is whole whenever it is there.

    It is on the disk before it is renamed: after a power failure there is the old file or the new one.
    """
    beside = part_of(path)
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a write that finds no room does not say where
        raise


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    write_bytes(path, text.encode())


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain types, whole or not at all."""
    content = io.BytesIO()  # a disk that fills up then meets a plain file, not an archive half written
    torch.save({"format": FORMAT, **state}, content)
    write_bytes(path, content.getvalue())


def read_state(path: Path) -> dict[str, Any]:
    """Read what :func:`write_state` wrote; no code in it is run."""
    wrong = f"{path}: wanted a state of training ({FORMAT}), got a file that is none or is damaged"
    content = io.BytesIO(path.read_bytes())
    try:
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
        raise ValueError(wrong) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(wrong)
    return state


def remove_parts(folder: Path) -> None:
    """Remove what a process that was killed had begun to write."""
    for name in ("state.pt", "model.pt", "metrics.csv", "log.txt", "valid.csv"):
        for path in folder.glob(f".{name}.*"):
            path.unlink()


def _listed(folds: list[int]) -> str:
    return ", ".join(map(str, folds))


class Table:
    """A CSV file that grows by a row at a time."""

    def __init__(self, path: Path, columns: list[str], rows: Iterable[dict[str, Any]] = ()) -> None:
        self.path, self.columns = path, columns
        self.rows = list(rows)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; the file on disk is replaced at once."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Replace the file on disk by the rows so far."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
