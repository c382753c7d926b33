"""Settings of the second level: networks over the scores of all members."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from freesound.setting import Checked, option

LISTS = ("reduction", "dropout", "lr", "patience", "factor")


@dataclass(frozen=True)
class SecondLevel(Checked):
    """The second-level networks: one value of each list for each network, the others for all.

    Attributes:
        names: of the networks. The numbers are those of the original's search.
        reduction: of squeeze and excitation.
        dropout: after each hidden layer.
        lr: learning rate of the first epoch.
        patience: epochs without a gain before the learning rate falls.
        factor: of the learning rate.
    """

    names: tuple[str, ...] = ("net_43040", "net_45041", "net_50013")
    reduction: tuple[int, ...] = (16, 2, 1)
    dropout: tuple[float, ...] = (0.0514108720891856, 0.48357033916143033, 0.1662788540244386)
    lr: tuple[float, ...] = (4.5950585196710547e-05, 3.897529465275052e-05, 2.5814932060476834e-05)
    patience: tuple[int, ...] = (5, 9, 7)
    factor: tuple[float, ...] = (0.657766056031002, 0.7953702239306087, 0.5537460438294733)
    hidden: int = option(512, "outputs of the second hidden layer", low=1)
    stop: int = option(30, "epochs without a new best value before the end", low=1)
    max_epochs: int = option(700, "the largest number of epochs", low=1)
    draws_per_epoch: int = option(32_768, "clips that an epoch draws", low=1)
    batch_size: int = option(128, "clips in a batch", low=1)
    seed: int = option(42, "of weights, draws and dropout", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in LISTS:
            values = getattr(self, name)
            if len(values) != len(self.names):
                raise ValueError(
                    f"second.{name}: wanted {len(self.names)}, one for each network, got {len(values)}"
                )
            for value in values:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ValueError(f"second.{name}: wanted numbers, got {value!r}")  # noqa: TRY004

    def networks(self) -> dict[str, dict[str, Any]]:
        """Return the arguments of :func:`rankaudio.ensemble.fit_second_level` for each network."""
        shared = {
            one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("names", *LISTS)
        }
        return {
            name: shared | {one: getattr(self, one)[number] for one in LISTS}
            for number, name in enumerate(self.names)
        }
