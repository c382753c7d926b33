"""Blends: one score from the scores of several members."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rankaudio.ensemble._members import Method, check_members, check_weights

__all__ = ["blend"]


def blend(
    scores: Tensor | Sequence[Tensor],
    *,
    weights: Sequence[float] | Tensor | None = None,
    method: Method = "mean",
    present: Tensor | None = None,
) -> Tensor:
    r"""Blend the scores of the members of an ensemble.

    With weights :math:`w_m \ge 0` that are divided by their sum over the members that have a clip,

    .. math:: \sum_m w_m s_m \;\text{(mean)}, \qquad
        \prod_m s_m^{w_m} \;\text{(geometric)}, \qquad
        \sum_m w_m r(s_m) \;\text{(rank)}.

    ``"mean"`` uses raw scores as they are, so a member with a wider spread has more influence.

    ``"rank"`` replaces each score by its rank among the member's scores for the same clip: 0 for the lowest,
    1 for the highest, and the middle rank for ties. lwlrap compares labels within a clip, so other clips have
    no influence on the ranks.

    ``"geometric"`` is for numbers that are not negative, such as probabilities. It never turns scores into
    probabilities, because there is more than one way. ``blend(logsigmoid(scores))`` is the logarithm of the
    geometric mean of sigmoid probabilities, and gives the same ranking. With ``log_softmax`` the labels of a
    clip are ranked as by the plain mean.

    Args:
        scores: ``(M, *, C)`` floating point, or a list of :math:`M` tensors ``(*, C)``, one per member.
        weights: one per member, not negative, with any positive sum. By default all are equal.
        method: ``"mean"``, ``"geometric"`` or ``"rank"``, as above.
        present: ``(M, *)`` bool, true where a member has a clip. Other scores, NaN included, are ignored.
            :func:`stack_tables` makes such a mask from file names. By default every member has every clip.

    Returns:
        ``(*, C)``, float64 if one of the members is, else float32 (computed in float64). If a clip has only
        members of weight 0, their unweighted blend is used. With a single class all ranks are 0. Gradients
        flow to the scores, except with ``"rank"``.

    Raises:
        TypeError: if scores are not floating point, weights are not numbers, or ``present`` is not bool.
        ValueError: if a score is NaN or, with ``"geometric"``, negative. If members differ in shape or
            device, or a clip has no member. If one member scores inf and another -inf (``"geometric"``: 0)
            for the same clip and class, which only ``"rank"`` can blend. If weights are negative, all 0, or
            not one per member. Values are checked on every device.

    >>> scores = torch.tensor(
    ...     [[[2.0, 0.0, -1.0]], [[0.0, 30.0, 10.0]]]
    ... )  # two members, one clip
    >>> blend(scores, weights=[3, 1])
    tensor([[1.5000, 7.5000, 1.7500]])
    >>> blend(scores, weights=[3, 1], method="rank")
    tensor([[0.7500, 0.6250, 0.1250]])
    >>> blend(scores.sigmoid(), method="geometric")
    tensor([[0.6636, 0.7071, 0.5186]])
    """
    members = check_members(scores, method=method, present=present)
    return members.blend(check_weights(weights, len(members.scores)))
