"""What all fits of a second level share: checked scores, a network for each fold, and the nested figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integers, check_shape, describe
from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._fit import check_target
from rankaudio.ensemble._linear_stacking import LinearStacking
from rankaudio.ensemble._members import Method
from rankaudio.ensemble._second_level import SecondLevelNetwork
from rankaudio.ensemble._window_mean import WindowMean
from rankaudio.metrics import lwlrap


class SecondLevelFit(NamedTuple):
    """The result of :func:`fit_second_level` and of :func:`fit_linear_stacking`, all on the CPU.

    >>> network = SecondLevelNetwork(n_classes=5, n_members=3, hidden=8, reduction=2).eval()
    >>> fit = SecondLevelFit(
    ...     (network,) * 3, torch.zeros(9, 5), 0.9, 0.9, 0.8, torch.ones(3).long()
    ... )
    >>> fit.predict(torch.rand(3, 2, 5)).shape
    torch.Size([2, 5])
    """

    networks: tuple[SecondLevelNetwork | LinearStacking, ...]
    """One network for each fold, in eval mode."""
    scores: Tensor
    """``(N, C)``, raw scores of each clip from the network that has not used its fold. They are float64 in
    linear stacking, where float32 would make small probabilities equal."""
    nested: float
    """lwlrap of ``scores``. Report this value."""
    selected: float
    """lwlrap on the folds that chose the epochs. It is too high to report."""
    equal: float
    """lwlrap of the plain mean of the members, which needs no fit. It is the mean that ``method`` names; in
    linear stacking, its weights are those of the average."""
    epochs: Tensor
    """``(K,)`` int64, the epoch that was kept of each network, from 0. In linear stacking it is the number of
    epochs of training before the kept state, so 0 is the average."""
    method: Method = "geometric"
    """The mean over the networks in :meth:`predict`."""

    def predict(self, scores: Tensor) -> Tensor:
        """Return probabilities ``(N, C)``: the mean over the networks that ``method`` names.

        Args:
            scores: ``(M, N, C)`` floating point, the members' probabilities of other clips.

        Raises:
            TypeError: if ``scores`` is not floating point.
            ValueError: if ``scores`` has another shape.
        """
        first_level = check_floating("scores", scores).to("cpu", self.scores.dtype)
        with torch.no_grad():
            members = [network(first_level).sigmoid() for network in self.networks]
        return blend(members, method=self.method)


@dataclass(frozen=True)
class Problem:
    """The scores of all clips on the device of the training, and the labels on the CPU."""

    windows: Tensor
    """``(M, N, K, C)``."""
    counts: Tensor
    means: Tensor
    """``(M, N, C)``, the plain means over the windows."""
    target: Tensor

    def scores(self, network: nn.Module, clips: Tensor) -> Tensor:
        """Return raw scores of the chosen clips from the means over their windows, on the CPU."""
        with torch.no_grad():
            scores: Tensor = network.eval()(self.means[:, clips.to(self.means.device)])
        return scores.cpu()

    def lwlrap(self, network: nn.Module, clips: Tensor) -> float:
        """Return lwlrap of the chosen clips."""
        return float(lwlrap(self.scores(network, clips), self.target[clips]))


def fit_folds(
    problem: Problem,
    parts: Sequence[Tensor],
    train: Callable[[Tensor, Tensor], tuple[SecondLevelNetwork | LinearStacking, int]],
    *,
    seed: int,
    equal: Tensor,
    method: Method,
) -> SecondLevelFit:
    """Train a network for each fold; score the fold and the next one, which has chosen the epoch.

    ``train`` takes the clips to learn from and the clips that choose, each ``(N,)`` bool. It returns the
    network and the epoch that was kept. ``equal`` are scores that need no fit.
    """
    networks, epochs = [], []
    nested, selected = torch.empty(2, *problem.target.shape, dtype=problem.means.dtype)
    for index, held_out in enumerate(parts):
        choosing = parts[(index + 1) % len(parts)]
        with _seeded(seed, problem.windows.device):
            network, epoch = train(~(held_out | choosing), choosing)
        nested[held_out] = problem.scores(network, held_out)
        selected[choosing] = problem.scores(network, choosing)
        networks.append(network.cpu())
        epochs.append(epoch)
    return SecondLevelFit(
        tuple(networks),
        nested,
        nested=float(lwlrap(nested, problem.target)),
        selected=float(lwlrap(selected, problem.target)),
        equal=float(lwlrap(equal, problem.target)),
        epochs=torch.tensor(epochs),
        method=method,
    )


def check_problem(scores: object, target: object, counts: Tensor | None) -> Problem:
    """Check scores, numbers of windows and labels, and put them where the training needs them."""
    tensor = check_floating("scores", scores, ndim=(3, 4)).detach()
    windows = (tensor if tensor.ndim == 4 else tensor[:, :, None]).float()
    means = WindowMean().eval()(windows, counts)
    if not bool(((means >= 0) & (means <= 1)).all()):
        raise ValueError(f"scores: wanted probabilities from 0 to 1, got others in {describe(tensor)}")
    members, clips, most, _ = windows.shape
    if members == 0 or clips == 0:
        raise ValueError(f"scores: wanted at least one member and one clip, got {describe(tensor)}")
    labels = check_target(means[0].cpu(), target)
    # Only CUDA has a random state that is restored below.
    device = tensor.device if tensor.device.type == "cuda" else torch.device("cpu")
    number = torch.full((clips,), most) if counts is None else counts
    return Problem(windows.to(device), number.to(device), means.to(device), labels)


def check_folds(folds: object, target: Tensor) -> list[Tensor]:
    """Return ``(N,)`` bool for each fold, true for its clips."""
    fold_of = check_shape("folds", check_integers("folds", folds), target.shape[:1]).cpu()
    found = sorted(set(fold_of.tolist()))
    if len(found) < 3:
        raise ValueError(f"folds: wanted at least three different ones, got {found}")
    parts = [fold_of == fold for fold in found]
    for fold, part in zip(found, parts, strict=True):
        if not target[part].any():
            raise ValueError(f"folds: wanted a label in each fold, got none in fold {fold}")
    return parts


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed weights and dropout, and restore the global random state afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            torch.cuda.default_generators[each.index].manual_seed(seed)
        yield
