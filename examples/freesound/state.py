"""A run folder: its settings, a folder for each fold, and the states that training resumes from."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from freesound.locks import lock
from freesound.plans.base import Member
from freesound.settings import CHECKS, flat, read_member, read_toml, to_toml
from rankaudio import Tagger
from rankaudio._tensor_file import read_tensors, write_tensors
from rankaudio.data import write_text

# A path is for people to read. The checksum of the file decides whether two runs are the same.
NOT_COMPARED = ("clips.extra", "clips.corrections", "pools.trusted", "network.start_from")
FORMAT = "freesound2019.state/2"


class Run:
    """``settings.toml``, and ``fold_K`` with ``model.pt``, ``metrics.csv``, ``log.txt`` and ``valid.csv``.

    A fold in training also has ``state.pt``, which is written before the first model and removed after
    the last one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fold(self, fold: int) -> Path:
        """Return the folder of one fold."""
        return self.folder / f"fold_{fold}"

    def finished(self, fold: int) -> bool:
        """Whether a fold has been trained to its end."""
        return (self.fold(fold) / "model.pt").exists() and not self.begun(fold)

    def begun(self, fold: int) -> bool:
        """Whether a fold has been begun and not finished."""
        return (self.fold(fold) / "state.pt").exists()

    @property
    def settings(self) -> Path:
        """The file that the run can be repeated from."""
        return self.folder / "settings.toml"

    def member(self) -> Member:
        """Return the settings of the run; the defaults if there is no ``settings.toml``."""
        return read_member(self.settings) if self.settings.exists() else Member()

    @contextlib.contextmanager
    def claimed(
        self,
        settings: Mapping[str, Any],
        checks: Mapping[str, Any],
        folds: list[int],
        *,
        resume: bool = False,
        log: Callable[[str], object],
    ) -> Iterator[list[int]]:
        """Keep other processes out of folds while they are trained; arguments as of :meth:`start`.

        Yields:
            The folds that are left to train.

        Raises:
            BlockingIOError: if another process trains one of the folds.
        """
        self.check_settings(with_checks(settings, checks))
        with contextlib.ExitStack() as locks:
            open_folds = [fold for fold in folds if not self.finished(fold)]
            with contextlib.ExitStack() as starting:
                if open_folds:
                    starting.enter_context(lock(self.folder / ".start.lock", log=log, wait=True))
                for fold in open_folds:
                    locks.enter_context(lock(self.folder / f".fold_{fold}.lock", log=log))
                left = self.start(settings, checks, folds, resume=resume)
            yield left

    def start(
        self,
        settings: Mapping[str, Any],
        checks: Mapping[str, Any],
        folds: list[int],
        *,
        resume: bool = False,
    ) -> list[int]:
        """Make the folders, or refuse if they hold another run, or these folds already.

        Args:
            settings: plain values for ``settings.toml``.
            checks: other values that have to be the same when the run is resumed, such as checksums.
            folds: the folds to train.
            resume: continue folds that were begun, and skip those that are finished.

        Returns:
            The folds that are left to train.
        """
        settings = with_checks(settings, checks)
        self.check_settings(settings)
        done = [fold for fold in folds if self.finished(fold)]
        begun = [fold for fold in folds if self.begun(fold)]
        if not resume and begun:
            raise FileExistsError(
                f"--run: {self.folder} holds fold {_listed(begun)}, begun and not finished; continue it "
                f"with --resume, or choose another folder or fold"
            )
        if not resume and done:
            raise FileExistsError(
                f"--run: {self.folder} holds fold {_listed(done)} already; choose another folder or fold"
            )
        left = [fold for fold in folds if fold not in done]
        if left:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_temporary_files()
            write_text(self.settings, to_toml(settings))
        for fold in left:
            self.fold(fold).mkdir(exist_ok=True)
        return left

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse a folder that holds a run with other settings, or other things."""
        path = self.settings
        # Another process may begin another fold at this moment. It writes the settings before anything else,
        # so look for them again once the folder was found not to be new.
        if self.folder.exists() and not path.exists() and not self._is_new() and not path.exists():
            raise FileExistsError(
                f"--run: wanted a new or empty folder, got {self.folder}, which holds other things"
            )
        if path.exists():
            before, now = flat(read_toml(path)), flat(settings)
            names = [name for name in {**now, **before} if name not in NOT_COMPARED]
            differ = [name for name in names if before.get(name) != now.get(name)]
            if differ:
                raise ValueError(
                    f"--run: {self.folder} holds a run with other settings: "
                    + ", ".join(f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in differ)
                    + "; choose another folder"
                )

    def _is_new(self) -> bool:
        """Whether the folder is empty, or its first process was killed while it wrote the first file."""
        return self.folder.is_dir() and all(path.name.startswith(".") for path in self.folder.iterdir())

    def _remove_temporary_files(self) -> None:
        """Remove settings that a killed process had begun to write; only one process starts at a time."""
        for path in self.folder.glob(f".{self.settings.name}.*.part"):
            path.unlink()

    def models(self) -> list[Path]:
        """Return the best model of every fold."""
        found = sorted(self.folder.glob("fold_*/model.pt"))
        if not found:
            raise FileNotFoundError(f"--run: wanted a folder with fold_*/model.pt, got {self.folder}")
        return found

    def taggers(self, device: str) -> list[Tagger]:
        """Load the best model of every fold.

        Raises:
            ValueError: if the folds differ in their classes, or a weight is not finite.
        """
        taggers = [Tagger.load(path, device=device) for path in self.models()]
        for path, tagger in zip(self.models(), taggers, strict=True):
            if tagger.classes != taggers[0].classes:
                raise ValueError(f"{path}: wanted the classes of the other folds, got other classes")
            # A threshold is infinite for a class without labels.
            values = {key: value for key, value in tagger.state_dict().items() if key != "thresholds"}
            wrong = [
                key for key in values if values[key].is_floating_point() and not values[key].isfinite().all()
            ]
            if wrong:
                raise ValueError(f"{path}: wanted finite weights, got others in {wrong[0]}")
        return taggers


def with_checks(settings: Mapping[str, Any], checks: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the table of values that must stay the same."""
    return {**settings, CHECKS: {name: value for name, value in checks.items() if value is not None}}


def _listed(folds: list[int]) -> str:
    return ", ".join(map(str, folds))


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain types; the file is whole or not there."""
    write_tensors(path, {"format": FORMAT, **state})


def read_state(path: Path) -> dict[str, Any]:
    """Read what :func:`write_state` wrote; no code in it is run. The archive's checksums are compared.

    Raises:
        ValueError: if the file has other content or is damaged; the message names it.
    """
    wanted = f"a state of training ({FORMAT})"
    state = read_tensors(path, wanted)
    if state.get("format") != FORMAT:
        raise ValueError(f"{path}: wanted {wanted}, got another or a damaged file")
    return state


def remove_temporary_files(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for name in ("state.pt", "model.pt", "metrics.csv", "log.txt", "valid.csv"):
        for path in folder.glob(f".{name}.*"):
            path.unlink()


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
