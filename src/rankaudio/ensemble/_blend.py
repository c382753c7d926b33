"""Blends: one score from the scores of several members."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from rankaudio.ensemble._members import Method, check_weights, prepare

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

    ``"mean"`` takes raw scores as they are, so a member with a wider spread has more say. ``"rank"``
    replaces each score by its rank among the scores of its member for the same clip, 0 for the lowest to
    1 for the highest, ties at their middle rank: lwlrap compares the labels of one clip with each other,
    and what else is in the set then makes no difference. ``"geometric"`` is for numbers that are not
    negative, such as probabilities. It never makes probabilities out of scores, for there is more than one
    way: ``blend(logsigmoid(scores))`` is the logarithm of the geometric mean of sigmoid probabilities, and
    ranks like it; with ``log_softmax`` the labels of a clip are ranked as by the plain mean.

    Args:
        scores: ``(M, *, C)`` floating point, or a list of :math:`M` tensors ``(*, C)``, one a member.
        weights: one a member, not negative, of any positive sum. By default all are equal.
        method: ``"mean"``, ``"geometric"`` or ``"rank"``, as above.
        present: ``(M, *)`` bool, true where a member has a clip; what it scores elsewhere, NaN included, is
            not looked at. :func:`stack_tables` makes such a mask from file names. By default every member
            has every clip.

    Returns:
        ``(*, C)``, float64 if one of the members is, else float32 (computed in float64). A clip that only
        members of weight 0 have gets their unweighted blend. With a single class all ranks are 0. Gradients
        flow to the scores, but for ``"rank"``.

    Raises:
        TypeError: if scores are not floating point, weights not numbers or ``present`` not bool.
        ValueError: if a score is NaN or, for ``"geometric"``, negative; if members differ in shape or device;
            if a clip and class is scored inf by one member and -inf by another (``"geometric"``: 0), which
            only ``"rank"`` can blend; if weights are negative, of another number or all 0; or if a clip has
            no member. Values are looked at on every device.

    >>> scores = torch.tensor([[[2.0, 0.0, -1.0]], [[0.0, 30.0, 10.0]]])  # two members, one clip
    >>> blend(scores, weights=[3, 1])
    tensor([[1.5000, 7.5000, 1.7500]])
    >>> blend(scores, weights=[3, 1], method="rank")
    tensor([[0.7500, 0.6250, 0.1250]])
    >>> blend(scores.sigmoid(), method="geometric")
    tensor([[0.6636, 0.7071, 0.5186]])
    """
    members = prepare(scores, method=method, present=present)
    return members.blend(check_weights(weights, len(members)))
