"""A small network of each kind, and a tagger around it: the one table for tests that go over all networks.

A new network is added to SMALL_NETWORKS. All tests of networks and taggers, the contracts included, then run
with it.
"""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from rankaudio import CNN1d, CNN2d, Tagger, length_mask
from rankaudio.backbones import AuxSkipAttention, AxisPoolCNN, Network, RnnAuxSkipAttention, SkipAttention
from rankaudio.losses import AuxiliaryScores
from rankaudio.side_inputs import check_side_inputs
from rankaudio.spectral import FRONTENDS

N_BINS = 12
# Each small frontend has N_BINS bins.
SMALL_FRONTENDS = {
    "LogMel": {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": N_BINS, "f_min": 50.0},
    "LogSTFT": {"sample_rate": 8000, "n_fft": 2 * N_BINS - 2, "hop_length": 16},
    "DecibelMel": {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": N_BINS, "scale": 0.01},
}
SMALL_NETWORKS: dict[str, Callable[[int], Network]] = {
    "CNN1d, max": lambda n: CNN1d(n, n_bins=N_BINS, base_depth=4, n_blocks=3),
    "CNN1d, rnn": lambda n: CNN1d(n, n_bins=N_BINS, base_depth=4, n_blocks=3, pooling="rnn", rnn_units=4),
    "CNN2d, max": lambda n: CNN2d(n, base_depth=4, n_blocks=3),
    "CNN2d, rnn": lambda n: CNN2d(n, base_depth=4, n_blocks=3, pooling="rnn", rnn_units=4),
    "CNN2d, no encoding": lambda n: CNN2d(
        n, base_depth=4, n_blocks=3, frequency_encoding=False, start_deep_supervision_on=0
    ),
    "SkipAttention": lambda n: SkipAttention(n, base_depth=3, spatial_kernel=3, dropout=0.0),
    "AuxSkipAttention": lambda n: AuxSkipAttention(n, base_depth=3, dropout=0.0),
    "RnnAuxSkipAttention": lambda n: RnnAuxSkipAttention(n, base_depth=3, dropout=0.0),
    # Tests of the side inputs are in test_axis_pooling.py.
    "AxisPoolCNN": lambda n: AxisPoolCNN(n, base_depth=4, statistics=False, duration=False),
    "AxisPoolCNN, multi-scale": lambda n: AxisPoolCNN(
        n,
        base_depth=2,
        stem="multi_scale",
        squeeze_excite=True,
        highway=True,
        pool_first="frequency",
        statistics=False,
        duration=False,
    ),
}
every_network = pytest.mark.parametrize("name", SMALL_NETWORKS)


def sum_of_heads(outputs: torch.Tensor | AuxiliaryScores) -> torch.Tensor:
    """Return the scores, or in training mode the sum of the scores of all heads: ``(B, C)``."""
    if isinstance(outputs, AuxiliaryScores):
        return outputs.scores + sum(outputs.auxiliary)
    return outputs


def small_frontend(name: str, *, transform: str = "fft", **settings: str) -> nn.Module:
    return FRONTENDS[name](**SMALL_FRONTENDS[name], transform=transform, **settings)


def small_tagger(name: str, classes: Sequence[str] = ("a", "b", "c"), *, transform: str = "fft") -> Tagger:
    """Build an untrained tagger with the frontend that suits the network."""
    network = SMALL_NETWORKS[name](len(classes))
    return Tagger(small_frontend(network.default_frontend, transform=transform), network, classes=classes)


def used_tagger(name: str, classes: Sequence[str] = ("a", "b", "c"), *, transform: str = "fft") -> Tagger:
    """Build a tagger in eval mode whose running statistics come from noise of several loudnesses."""
    return copy.deepcopy(_used_tagger(name, tuple(classes), transform))


@functools.cache
def _used_tagger(name: str, classes: tuple[str, ...], transform: str) -> Tagger:
    torch.manual_seed(0)
    tagger = small_tagger(name, classes, transform=transform)
    for _ in range(20):
        tagger(torch.randn(8, 2000) * torch.rand(8, 1))
    return tagger.eval()


def is_recurrent(module: nn.Module) -> bool:
    """PyTorch unrolls recurrent layers when it exports them, so the program has a fixed number of frames."""
    return any(isinstance(part, nn.RNNBase) for part in module.modules())


@dataclass(eq=False, repr=False)
class SideInputNetwork(Network):
    """A network for tests whose scores need the statistics and the duration of each clip."""

    n_classes: int

    def __post_init__(self):
        super().__post_init__()
        self.side_inputs = ("statistics", "duration")
        self.n_features = N_BINS + 12 + 1
        self.classifier = nn.Sequential(nn.Linear(self.n_features, self.n_classes))

    def features(self, spectrogram, lengths=None, side_inputs=None):
        side = check_side_inputs({"statistics": (128, 12), "duration": (1,)}, side_inputs, spectrogram)
        if lengths is not None:
            padding = ~length_mask(lengths, spectrogram.shape[-1])
            spectrogram = spectrogram.masked_fill(padding[:, None], -torch.inf)
        return torch.cat([spectrogram.amax(-1), side["statistics"].amax(1), side["duration"]], dim=1)

    def forward(self, spectrogram, lengths=None, side_inputs=None):
        return self.classifier(self.features(spectrogram, lengths, side_inputs))


def side_input_tagger(classes: Sequence[str] = ("a", "b", "c"), *, transform: str = "fft") -> Tagger:
    """Build a tagger in eval mode whose network has side inputs; always the same weights."""
    torch.manual_seed(0)
    network = SideInputNetwork(len(classes))
    return Tagger(small_frontend("LogMel", transform=transform), network, classes=classes).eval()
