"""A network that scores clips from the probabilities that several models gave them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rankaudio._checks import check_floating, check_integer, check_mapping, check_number, describe
from rankaudio._settings import ModuleWithSettings

# From the parameter names of the original program to ours.
_REFERENCE_NAMES = {
    "scale.fc1": "scale.0",
    "scale.fc2": "scale.2",
    "linear1": "layers.0",
    "relu1": "layers.1",
    "linear2": "layers.3",
    "relu2": "layers.4",
    "fc": "layers.6",
}


@dataclass(eq=False, repr=False, kw_only=True)
class SecondLevelNetwork(ModuleWithSettings):
    r"""A network over the joined probabilities of several models: stacking with a neural network.

    .. math:: s = W_3 \, h\bigl(W_2 \, h(W_1 \, z)\bigr), \qquad
        z = x \odot \sigma\bigl(V_2 \, \mathrm{relu}(V_1 \, x)\bigr)

    The input :math:`x` has the probabilities of all members and classes, :math:`D = M C` numbers per clip.
    Squeeze and excitation scales each of them. :math:`V_1` has :math:`\lfloor D / \mathrm{reduction} \rfloor`
    outputs, :math:`W_1` has twice ``hidden``, and :math:`W_2` has ``hidden``. :math:`h` is PReLU and dropout.
    All layers have biases. Unlike a blend, the network can use the members' scores of one class for another
    class.

    Args:
        n_classes: C.
        n_members: M, number of models.
        hidden: outputs of the second hidden layer.
        reduction: how many times smaller the middle of squeeze and excitation is than the input, from 1 to D.
        dropout: probability after each hidden layer.

    Shapes:
        scores ``(M, N, C)`` floating point, the result ``(N, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or scores are not floating point.
        ValueError: if a setting is out of range, or scores have another shape.

    Reference:
        The second level of the first-place system of Freesound Audio Tagging 2019. It had three such networks
        with ``reduction`` 16, 2 and 1.

    >>> network = SecondLevelNetwork(n_classes=80, n_members=7).eval()
    >>> network(torch.rand(7, 4, 80)).shape
    torch.Size([4, 80])
    """

    n_classes: int
    n_members: int
    hidden: int = 512
    reduction: int = 16
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        size = check_integer("n_classes", self.n_classes) * check_integer("n_members", self.n_members)
        hidden, p = check_integer("hidden", self.hidden), check_number("dropout", self.dropout, 0, 1)
        middle = size // check_integer("reduction", self.reduction, 1, size)
        self.scale: nn.Sequential = nn.Sequential(
            nn.Linear(size, middle), nn.ReLU(), nn.Linear(middle, size), nn.Sigmoid()
        )
        self.layers: nn.Sequential = nn.Sequential(
            *(nn.Linear(size, 2 * hidden), nn.PReLU(), nn.Dropout(p)),
            *(nn.Linear(2 * hidden, hidden), nn.PReLU(), nn.Dropout(p)),
            nn.Linear(hidden, self.n_classes),
        )

    def forward(self, scores: Tensor) -> Tensor:
        """Return raw scores ``(N, C)``."""
        check_floating("scores", scores, ndim=(3,))
        members, _, classes = scores.shape
        if (members, classes) != (self.n_members, self.n_classes):
            wanted = f"shape ({self.n_members}, N, {self.n_classes})"
            raise ValueError(f"scores: wanted {wanted}, got {describe(scores)}")
        joined = scores.movedim(0, 1).flatten(1)
        result: Tensor = self.layers(joined * self.scale(joined))
        return result

    def load_reference_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict under the keys of the original first-place program.

        Args:
            state: tensors under ``scale.fc1.*``, ``scale.fc2.*``, ``linear1.*``, ``relu1.*``, ``linear2.*``,
                ``relu2.*`` and ``fc.*``, with or without the prefix ``module.``.

        Raises:
            TypeError: if ``state`` is not a mapping.
            RuntimeError: from PyTorch, if keys or shapes do not fit this network; its message names them.

        >>> network = SecondLevelNetwork(n_classes=80, n_members=7)
        >>> names = ["scale.fc1", "scale.fc2", "linear1", "relu1", "linear2", "relu2", "fc"]
        >>> layers = [
        ...     network.scale[0],
        ...     network.scale[2],
        ...     *(network.layers[i] for i in (0, 1, 3, 4, 6)),
        ... ]
        >>> state = {
        ...     f"{a}.{k}": v for a, b in zip(names, layers) for k, v in b.state_dict().items()
        ... }
        >>> network.load_reference_state_dict(state)
        """
        check_mapping("state", state)
        self.load_state_dict({_from_reference(key): value for key, value in state.items()})


def _from_reference(key: str) -> str:
    layer, _, kind = re.sub(r"^module\.", "", key).rpartition(".")
    return f"{_REFERENCE_NAMES.get(layer, layer)}.{kind}"
