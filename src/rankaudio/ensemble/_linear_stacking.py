"""A linear model over the probabilities of several models: weights per class, then a dense layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, describe
from rankaudio.ensemble._members import check_weights

# Keeps the division defined for a class whose weights are all 0. This is the original's number.
_SMALLEST_NORM = 1e-7


class LinearStacking(nn.Module):
    r"""Linear stacking: each class has a weight for each model, and a dense layer mixes the classes.

    .. math:: s_c = 2 \, (z_c - 1.6), \qquad z_c = \sum_k D_{ck} \sum_{m=0}^{M} w_{km} \, x_{mk}, \qquad
        x_{Mk} = \sum_{m<M} a_m \, x_{mk}

    The input :math:`x_{mk}` is the probability that model :math:`m` gives to class :math:`k`. The last of the
    :math:`M + 1` inputs is the average with the weights :math:`a`. At the start :math:`w` takes the average
    alone and :math:`D` is the identity, so the order of the classes is that of the average. There are no
    biases. Signs are free. In float32, the subtraction makes small probabilities equal, from a difference of
    1e-7 on. Use float64 where their order counts, as :func:`fit_linear_stacking` does.

    Args:
        n_classes: C.
        n_members: M, number of models.
        weights: :math:`a`, M non-negative numbers, of which only the ratios matter; None: equal weights. A
            model of weight 0 is still an input. They are in the state dict.

    Shapes:
        scores ``(M, N, C)`` floating point, the result ``(N, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or scores are not floating point.
        ValueError: if a setting is out of range, or scores have another shape.

    Reference:
        The second level of the second-place system of Freesound Audio Tagging 2019.

    >>> network = LinearStacking(n_classes=2, n_members=2, weights=[3.0, 1.0])
    >>> network(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]))
    tensor([[-1.7000, -3.2000]], grad_fn=<MulBackward0>)
    """

    average: Tensor

    def __init__(
        self, *, n_classes: int, n_members: int, weights: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.n_classes: int = check_integer("n_classes", n_classes)
        self.n_members: int = check_integer("n_members", n_members)
        average = check_weights(weights, n_members)
        self.register_buffer("average", (average / average.sum()).float())
        start = torch.zeros(n_classes, n_members + 1)
        start[:, -1] = 1
        self.model_weights: nn.Parameter = nn.Parameter(start)
        self.dense: nn.Parameter = nn.Parameter(torch.eye(n_classes))

    def forward(self, scores: Tensor) -> Tensor:
        """Return raw scores ``(N, C)``."""
        check_floating("scores", scores, ndim=(3,))
        members, _, classes = scores.shape
        if (members, classes) != (self.n_members, self.n_classes):
            wanted = f"shape ({self.n_members}, N, {self.n_classes})"
            raise ValueError(f"scores: wanted {wanted}, got {describe(scores)}")
        average = (scores * self.average[:, None, None]).sum(0, keepdim=True)
        stacked = torch.cat([scores, average]).movedim(0, -1)
        # 1 becomes a probability of 0.23, and the slope at the start is that of the original.
        return 2 * ((stacked * self.model_weights).sum(-1) @ self.dense.T - 1.6)

    @torch.no_grad()
    def normalise(self) -> None:
        """Scale the model weights of each class to a Euclidean norm of 1. Call it after each step.

        >>> network = LinearStacking(n_classes=2, n_members=2)
        >>> _ = torch.nn.init.constant_(network.model_weights, 0.1)
        >>> network.normalise()
        >>> network.model_weights.norm(dim=1)
        tensor([1.0000, 1.0000], grad_fn=<LinalgVectorNormBackward0>)
        """
        norm = self.model_weights.square().sum(1, keepdim=True).sqrt()
        self.model_weights.div_(norm + _SMALLEST_NORM)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"n_classes={self.n_classes}, n_members={self.n_members}, weights={self.average.tolist()}"
