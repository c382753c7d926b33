"""What a fold tells of its training: ``metrics.csv``, ``log.txt`` and scalars for TensorBoard."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freesound.runs import Table, write_text
from rankaudio.metrics import ClassLwlrap

COLUMNS = ["epoch", "train_loss", "valid_lwlrap", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures; ``lwlrap`` is NaN if nothing is held out."""

    number: int
    loss: float
    lwlrap: float
    of_classes: ClassLwlrap | None
    better: bool
    learning_rate: float
    seconds: float


class Journal:
    """The epochs so far. Its files are written whole, so that an epoch done again is not there twice."""

    def __init__(self, *, epochs: int, classes: tuple[str, ...], say: Callable[[str], None]) -> None:
        self.epochs, self.classes, self.say = epochs, classes, say
        self.rows: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.scalars: Any = None

    def show_scalars(self, folder: Path) -> None:
        """From now on write scalars for TensorBoard too, in place of any of epochs to come."""
        from torch.utils.tensorboard import SummaryWriter

        done = len(self.rows)
        self.scalars = SummaryWriter(folder / "tensorboard", purge_step=done + 1 if done else None)

    def add(self, epoch: Epoch) -> None:
        """Take in an epoch and print its line; :meth:`write` makes the files."""
        figures = [f"{epoch.loss:.6f}", f"{epoch.lwlrap:.6f}", f"{epoch.learning_rate:.3e}"]
        row = [epoch.number, *figures, f"{epoch.seconds:.2f}"]
        self.rows.append(dict(zip(COLUMNS, row, strict=True)))
        judged = "" if math.isnan(epoch.lwlrap) else f"  valid lwlrap {epoch.lwlrap:.4f}"
        self.lines.append(
            f"epoch {epoch.number:3d}/{self.epochs}  loss {epoch.loss:.4f}{judged}"
            f"{' *' if judged and epoch.better else ''}"
            f"  lr {epoch.learning_rate:.1e}  {epoch.seconds:.1f} s"
        )
        self.say(self.lines[-1])
        if self.scalars is not None:
            self._add_scalars(epoch)

    def write(self, folder: Path) -> None:
        """Replace the files."""
        Table(folder / "metrics.csv", COLUMNS, self.rows).write()
        write_text(folder / "log.txt", "".join(f"{line}\n" for line in self.lines))

    def close(self) -> None:
        """Let go of the file of scalars."""
        if self.scalars is not None:
            self.scalars.close()

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, in plain types."""
        return {"rows": self.rows, "lines": self.lines}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.rows, self.lines = list(state["rows"]), list(state["lines"])

    def _add_scalars(self, epoch: Epoch) -> None:
        figures = {"loss": epoch.loss, "learning_rate": epoch.learning_rate, "seconds": epoch.seconds}
        if epoch.of_classes is not None:
            figures["valid_lwlrap"] = epoch.lwlrap
            values = epoch.of_classes.lwlrap.tolist()
            named = zip(self.classes, values, strict=True)
            figures |= {f"valid_lwlrap_of/{name}": value for name, value in named if not math.isnan(value)}
        for name, value in figures.items():
            self.scalars.add_scalar(name, value, epoch.number)
        self.scalars.flush()


def scalars_wanted(asked: bool | None) -> bool:
    """Whether to write scalars; not asked, whether TensorBoard is installed."""
    there = importlib.util.find_spec("tensorboard") is not None
    if asked and not there:
        raise ImportError("--tensorboard: wanted TensorBoard to be installed (pip install tensorboard)")
    return there if asked is None else asked
