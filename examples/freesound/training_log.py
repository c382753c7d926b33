"""The training log of a fold: ``metrics.csv``, ``log.txt`` and scalars for TensorBoard."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freesound.state import Table
from rankaudio.data import write_text
from rankaudio.metrics import ClassLwlrap

COLUMNS = ["epoch", "train_loss", "valid_lwlrap", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; ``lwlrap`` is NaN if no clips are held out."""

    number: int
    loss: float
    lwlrap: float
    class_lwlrap: ClassLwlrap | None
    better: bool
    learning_rate: float
    seconds: float


class TrainingLog:
    """The epochs so far. Its files are replaced as a whole, so an epoch that is repeated is there once."""

    def __init__(self, *, epochs: int, classes: tuple[str, ...], log: Callable[[str], None]) -> None:
        self.epochs, self.classes, self.log = epochs, classes, log
        self.rows: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.scalars: Any = None

    def open_tensorboard(self, folder: Path) -> None:
        """Write scalars for TensorBoard from now on, and replace those of later epochs."""
        from torch.utils.tensorboard import SummaryWriter

        done = len(self.rows)
        self.scalars = SummaryWriter(folder / "tensorboard", purge_step=done + 1 if done else None)

    def add(self, epoch: Epoch) -> None:
        """Add an epoch and print its line; :meth:`write` writes the files."""
        figures = [f"{epoch.loss:.6f}", f"{epoch.lwlrap:.6f}", f"{epoch.learning_rate:.3e}"]
        row = [epoch.number, *figures, f"{epoch.seconds:.2f}"]
        self.rows.append(dict(zip(COLUMNS, row, strict=True)))
        validated = "" if math.isnan(epoch.lwlrap) else f"  valid lwlrap {epoch.lwlrap:.4f}"
        self.lines.append(
            f"epoch {epoch.number:3d}/{self.epochs}  loss {epoch.loss:.4f}{validated}"
            f"{' *' if validated and epoch.better else ''}"
            f"  lr {epoch.learning_rate:.1e}  {epoch.seconds:.1f} s"
        )
        self.log(self.lines[-1])
        if self.scalars is not None:
            self._add_scalars(epoch)

    def write(self, folder: Path) -> None:
        """Replace the files."""
        Table(folder / "metrics.csv", COLUMNS, self.rows).write()
        write_text(folder / "log.txt", "".join(f"{line}\n" for line in self.lines))

    def close(self) -> None:
        """Close the file of scalars."""
        if self.scalars is not None:
            self.scalars.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far, in plain types."""
        return {"rows": self.rows, "lines": self.lines}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the epochs so far."""
        self.rows, self.lines = list(state["rows"]), list(state["lines"])

    def _add_scalars(self, epoch: Epoch) -> None:
        figures = {"loss": epoch.loss, "learning_rate": epoch.learning_rate, "seconds": epoch.seconds}
        if epoch.class_lwlrap is not None:
            figures["valid_lwlrap"] = epoch.lwlrap
            named = zip(self.classes, epoch.class_lwlrap.lwlrap.tolist(), strict=True)
            figures |= {f"valid_lwlrap_of/{name}": value for name, value in named if not math.isnan(value)}
        for name, value in figures.items():
            self.scalars.add_scalar(name, value, epoch.number)
        self.scalars.flush()


def wants_tensorboard(asked: bool | None) -> bool:
    """Whether to write scalars; ``None``: if TensorBoard is installed."""
    installed = importlib.util.find_spec("tensorboard") is not None
    if asked and not installed:
        raise ImportError("--tensorboard: wanted TensorBoard to be installed (pip install tensorboard)")
    return installed if asked is None else asked
