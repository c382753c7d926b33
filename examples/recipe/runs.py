"""A run folder: its settings, one folder for each fold, and files that are whole or not there."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rankaudio import Tagger


class Run:
    """``settings.json``, and ``fold_K`` with ``model.pt``, ``metrics.csv``, ``log.txt`` and ``valid.csv``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fold(self, fold: int) -> Path:
        """Where one fold is kept."""
        return self.folder / f"fold_{fold}"

    def start(self, settings: dict[str, Any], folds: list[int]) -> None:
        """Make the folders, or refuse if they hold another run, or these folds already."""
        path = self.folder / "settings.json"
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = [key for key in settings if before.get(key) != settings[key]]
            if changed:
                raise ValueError(
                    f"--run: {self.folder} holds a run with other settings: "
                    + ", ".join(f"{key} {before.get(key)!r}, now {settings[key]!r}" for key in changed)
                    + "; choose another folder"
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise FileExistsError(
                f"--run: wanted a new or empty folder, got {self.folder}, which holds other things"
            )
        done = [fold for fold in folds if (self.fold(fold) / "model.pt").exists()]
        if done:
            listed = ", ".join(map(str, done))
            raise FileExistsError(
                f"--run: {self.folder} holds fold {listed} already; choose another folder or fold"
            )
        for fold in folds:
            self.fold(fold).mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(settings, indent=2) + "\n")

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


def write_text(path: Path, text: str) -> None:
    """Write beside the place and rename, so that the file is whole whenever it is there."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


class Table:
    """A CSV file that grows by a row at a time."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path, self.columns = path, columns
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; the file on disk is replaced at once."""
        self.rows.append(row)
        beside = self.path.with_name(f".{self.path.name}.part")
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)
        beside.replace(self.path)
