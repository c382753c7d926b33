"""The search for blend weights: scipy's COBYLA, which needs no gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio.ensemble._members import Members
from rankaudio.ensemble._pairs import BlendedPrecisions

# lwlrap is constant in steps. The first moves of a search must cross many steps, and last moves smaller than
# a step gain nothing.
FIRST_MOVE, NEXT_MOVE, LAST_MOVE = 0.3, 0.1, 1e-3
EVALUATIONS_PER_MEMBER = 40
# The value of an infinite score in the search, where the spread of each member's scores is 1.
INFINITE_SCORE = 1e3


class WeightSearch:
    """COBYLA over the weights of some members.

    The parameters are unconstrained: negative ones count as 0, and positive ones in proportion to each other.
    There are two reasons. Releases of scipy treat constraints differently. And the weight of a useless member
    can end anywhere below 0, while a search would hardly hit a single point.

    The parameters are weights of members with spread 1. Otherwise one move would mean much for one member and
    nothing for another. Members are sorted by their own lwlrap, so the caller's order makes no difference.
    """

    def __init__(self, members: Members, target: Tensor, order: list[int]) -> None:
        labelled = target.any(-1)
        members = members.rows(labelled)
        self._order = torch.tensor(order)
        # A missing clip is 0 for all classes, so it does not influence the order of the labels.
        pairs = zip(members.prepared, members.present, strict=True)
        scores = torch.stack([torch.where(known, x, 0.0) for x, known in pairs])[self._order]
        finite = torch.where(scores.isfinite(), scores, 0.0)
        spread = (finite - finite.mean(-1, keepdim=True)).abs().mean((-2, -1))
        self._spread = torch.where((spread > 0) & spread.isfinite(), spread, 1.0)
        scores = (scores / self._spread[:, None, None]).nan_to_num(
            posinf=INFINITE_SCORE, neginf=-INFINITE_SCORE
        )
        self._precisions = BlendedPrecisions(scores.to(members.dtype), target[labelled])

    def run(self, draws: Tensor) -> list[Tensor]:
        """Return the ends of the searches, as weights in the caller's order."""
        count = len(self._order)
        equal, alone = torch.ones(count, dtype=torch.float64), torch.eye(count, dtype=torch.float64)
        starts = (equal * self._spread, equal, *alone, *draws)
        ends = [self._minimize(start, FIRST_MOVE) for start in starts]
        ends.append(self._minimize(min(ends, key=self._cost), NEXT_MOVE))
        return [self._as_weights(end) for end in ends]

    def _minimize(self, start: Tensor, first_move: float) -> Tensor:
        from scipy.optimize import minimize

        found = minimize(
            lambda parameters: self._cost(torch.from_numpy(parameters)),
            (start / start.sum()).numpy(),
            method="COBYLA",
            tol=LAST_MOVE,
            options={"rhobeg": first_move, "maxiter": EVALUATIONS_PER_MEMBER * len(start)},
        )
        return torch.tensor(found.x, dtype=torch.float64).clamp(min=0)

    def _cost(self, parameters: Tensor) -> float:
        """Minus the lwlrap of the blend."""
        share = parameters.clamp(min=0)
        # Without any weight it is worse than any blend.
        return -self._precisions.lwlrap(share) if share.any() else 0.0

    def _as_weights(self, share: Tensor) -> Tensor:
        share = share / self._spread
        return torch.zeros_like(share).index_copy(0, self._order, share / share.sum())


def draw_weights(count: int, members: int, seed: int) -> Tensor:
    """Draw weights ``(count, M)``. Divided by their sums, they are uniform on the simplex."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(count, members, dtype=torch.float64).exponential_(generator=generator)
