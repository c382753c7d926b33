"""Label decision: small networks that turn the scores of a ranking into labels, clip by clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rankaudio._checks import (
    check_floating,
    check_integer,
    check_ordered,
    check_same_device,
    check_shape,
    check_tensor,
    check_zeros_and_ones,
    describe,
)
from rankaudio.losses import focal_loss


class _Head(nn.Module):
    """Layers on the embedding of a clip: hidden ones with ReLU, and a linear last one."""

    def __init__(self, n_features: int, hidden: Sequence[int], n_outputs: int) -> None:
        super().__init__()
        self.n_features: int = check_integer("n_features", n_features)
        sizes = [check_integer("hidden", size) for size in check_ordered("hidden", hidden, "integers")]
        self.hidden: tuple[int, ...] = tuple(sizes)
        layers: list[nn.Module] = []
        for before, after in zip([n_features, *sizes], sizes, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers: nn.Sequential = nn.Sequential(*layers)
        self.last: nn.Linear = nn.Linear([n_features, *sizes][-1], n_outputs)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return what the head says of each clip."""
        tensor = check_floating("embedding", embedding, ndim=(2,))
        if tensor.shape[1] != self.n_features:
            raise ValueError(f"embedding: wanted shape (B, {self.n_features}), got {describe(tensor)}")
        output: Tensor = self.last(self.layers(tensor.to(self.last.weight.dtype)))
        return output


class ThresholdHead(_Head):
    r"""Label decision by thresholds: a network says which threshold each class has in this clip.

    .. math:: \hat y_c = [\, s_c \ge \theta_c(x) \,], \qquad
        \ell = \frac{1}{C} \sum_c -y_c \log \delta_c - (1 - y_c) \log (1 - \delta_c), \qquad
        \delta_c = \frac{1}{1 + e^{\theta_c(x) - s_c}}

    Scores of a ranking loss have no zero: what counts is their order within a clip. This head learns the
    zero after the ranking, from the embedding :math:`x` of the clip. The scores are constants in its loss.

    Train it on clips that the tagger has not learnt from, such as those of a held-out fold. The scores of
    training clips are better than those of other clips, and the thresholds would be wrong.

    Args:
        n_features: d, the size of an embedding: ``tagger.backbone.n_features``.
        n_classes: C.
        hidden: sizes of the hidden layers; ``()`` for a linear head.

    Shapes:
        embedding ``(B, d)`` and scores ``(B, C)`` floating point, target ``(B, C)``, the thresholds and the
        decisions ``(B, C)``, the loss ``()``.

    Raises:
        TypeError: if embedding or scores are not floating point, or a setting is not an integer.
        ValueError: if a setting is below 1, or shapes disagree.

    Reference:
        Li, Song and Luo, *Improving Pairwise Ranking for Multi-label Image Classification*, CVPR 2017,
        https://arxiv.org/abs/1704.03135, section 4, whose hidden layers are the default.

    >>> head = ThresholdHead(n_features=3, n_classes=2)
    >>> embedding, scores = torch.randn(4, 3), torch.randn(4, 2)
    >>> head(embedding).shape, head.decide(embedding, scores).dtype
    (torch.Size([4, 2]), torch.bool)
    """

    def __init__(self, *, n_features: int, n_classes: int, hidden: Sequence[int] = (100, 10)) -> None:
        super().__init__(n_features, hidden, check_integer("n_classes", n_classes))
        self.n_classes: int = n_classes

    def forward(self, embedding: Tensor) -> Tensor:
        """Return the thresholds of each clip, ``(B, C)``."""
        return super().forward(embedding)

    def loss(
        self, embedding: Tensor, scores: Tensor, target: Tensor, *, mask: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of a batch, to train this head with. The scores get no gradient.

        Args:
            embedding: of each clip, from :meth:`~rankaudio.tagger.Tagger.embed`.
            scores: of the same clips.
            target: ``(B, C)`` bool or 0/1, the labels.
            mask: ``(B, C)`` bool, true where the label is known; other labels are left out.

        Returns:
            ``()``; 0 for no clips.

        Raises:
            TypeError: if the mask is not bool.
            ValueError: if shapes disagree, or on the CPU a target is not 0/1.

        >>> head = ThresholdHead(n_features=3, n_classes=2)
        >>> optimizer = torch.optim.Adam(head.parameters())
        >>> loss = head.loss(torch.randn(4, 3), torch.randn(4, 2), torch.ones(4, 2))
        >>> loss.backward()
        >>> optimizer.step()
        """
        margin = self._score_less_threshold(embedding, check_floating("scores", scores).detach())
        # Binary cross entropy of 0/1 labels, with a mask.
        return focal_loss(margin, target, gamma=0, alpha=None, mask=mask)

    def decide(self, embedding: Tensor, scores: Tensor) -> Tensor:
        """Return which labels are present, ``(B, C)`` bool: those whose score reaches its threshold.

        >>> embedding, scores = torch.randn(4, 3), torch.randn(4, 2)
        >>> head = ThresholdHead(n_features=3, n_classes=2, hidden=())
        >>> torch.equal(head.decide(embedding, scores), scores >= head(embedding))
        True
        """
        margin = self._score_less_threshold(embedding, check_floating("scores", scores))
        return margin >= 0

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"n_features={self.n_features}, n_classes={self.n_classes}, hidden={self.hidden}"

    def _score_less_threshold(self, embedding: Tensor, scores: Tensor) -> Tensor:
        thresholds: Tensor = self(embedding)
        check_shape("scores", scores, thresholds.shape, like=thresholds)
        exact = torch.promote_types(scores.dtype, torch.promote_types(thresholds.dtype, torch.float32))
        return scores.to(exact) - thresholds


class CountHead(_Head):
    r"""Label decision by count: a network says how many labels a clip has, and the highest scores get them.

    .. math:: \hat y = \text{the } k \text{ highest scores}, \qquad k = \arg\max_j g_j(x), \qquad
        \ell = -g_n(x) + \log \sum_{j=0}^{K} e^{g_j(x)}

    Here :math:`n` is the number of labels of the clip. K stands for K labels or more. The decisions depend on
    the order of the scores alone, so a ranking needs no zero. Train the head on clips that the tagger has not
    learnt from, if there are such clips.

    Args:
        n_features: d, the size of an embedding: ``tagger.backbone.n_features``.
        max_labels: K, the highest count.
        hidden: sizes of the hidden layers; ``()`` for a linear head.

    Shapes:
        embedding ``(B, d)`` and scores ``(B, C)`` floating point, target ``(B, C)``, what the head returns
        ``(B, K + 1)``, the decisions ``(B, C)``, the loss ``()``.

    Raises:
        TypeError: if embedding or scores are not floating point, or a setting is not an integer.
        ValueError: if a setting is below 1, or shapes disagree.

    Reference:
        Li, Song and Luo, *Improving Pairwise Ranking for Multi-label Image Classification*, CVPR 2017,
        https://arxiv.org/abs/1704.03135, section 4, whose settings are the defaults. There, counts begin
        at 1; here a clip may have no label.

    >>> head = CountHead(n_features=3)
    >>> head(torch.randn(2, 3)).shape
    torch.Size([2, 5])
    """

    def __init__(self, *, n_features: int, max_labels: int = 4, hidden: Sequence[int] = (100, 10)) -> None:
        super().__init__(n_features, hidden, check_integer("max_labels", max_labels) + 1)
        self.max_labels: int = max_labels

    def forward(self, embedding: Tensor) -> Tensor:
        """Return the score of each count of each clip, ``(B, K + 1)``."""
        return super().forward(embedding)

    def loss(self, embedding: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of a batch, to train this head with.

        Args:
            embedding: of each clip, from :meth:`~rankaudio.tagger.Tagger.embed`.
            target: ``(B, C)`` bool or 0/1, the labels, all of them known.

        Returns:
            ``()``; 0 for no clips.

        Raises:
            TypeError: if the target is complex.
            ValueError: if shapes disagree, or on the CPU a target is not 0/1.

        >>> head = CountHead(n_features=3)
        >>> optimizer = torch.optim.Adam(head.parameters())
        >>> loss = head.loss(torch.randn(4, 3), torch.ones(4, 2))
        >>> loss.backward()
        >>> optimizer.step()
        """
        counts: Tensor = self(embedding)
        labels = check_tensor("target", target)
        if labels.is_complex():
            raise TypeError(f"target: wanted bool or 0 and 1, got {describe(labels)}")
        if labels.ndim != 2 or len(labels) != len(counts):
            raise ValueError(f"target: wanted shape ({len(counts)}, C), got {describe(labels)}")
        check_same_device("target", labels, "embedding", counts)
        check_zeros_and_ones("target", labels)
        number = labels.bool().sum(1).clamp(max=self.max_labels)
        total = F.cross_entropy(
            counts if counts.dtype == torch.float64 else counts.float(), number, reduction="sum"
        )
        return total / max(len(counts), 1)

    def decide(self, embedding: Tensor, scores: Tensor) -> Tensor:
        """Return which labels are present, ``(B, C)`` bool: the highest scores, as many as the head says.

        Of equal scores, those of the first classes count as higher.

        >>> head = CountHead(n_features=3, max_labels=1, hidden=())
        >>> _ = torch.nn.init.zeros_(head.last.weight)
        >>> _ = head.last.bias.data.copy_(torch.tensor([0.0, 1.0]))  # always one label
        >>> head.decide(torch.randn(1, 3), torch.tensor([[0.5, -2.0, 9.0]]))
        tensor([[False, False,  True]])
        """
        number = self(embedding).argmax(1, keepdim=True)
        checked = check_floating("scores", scores, ndim=(2,))
        if len(checked) != len(number):
            raise ValueError(f"scores: wanted shape ({len(number)}, C), got {describe(checked)}")
        check_same_device("scores", checked, "embedding", number)
        order = checked.sort(dim=1, descending=True, stable=True).indices
        decided: Tensor = order.argsort(1) < number
        return decided

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"n_features={self.n_features}, max_labels={self.max_labels}, hidden={self.hidden}"
