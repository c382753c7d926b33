"""A training step of the 2d network, compared with the same network and loss in plain PyTorch.

    python benchmarks/training_step.py [--clips 20] [--depth 50] [--repeats 5]

Both start from the same weights and get the same log-mel spectrograms of clips of 10 s. A step is forward,
LSEP, backward and AMSGrad Adam, and the networks take turns. The second row is the plain network with
channels last in memory, which is fast and less exact. The last row is ours on clips of 5 to 10 s with their
lengths, which the plain network does not support.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _table import options, published, show
from rankaudio import CNN2d, LogMel, LSEPLoss

CLASSES = 80
Loss = Callable[[Tensor, Tensor], Tensor]


class PlainResidual(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.act1 = nn.Conv2d(depth, depth, 1), nn.BatchNorm2d(depth), nn.PReLU(depth)
        self.conv2 = nn.Conv2d(depth, depth, 3, padding=1)
        self.norm2, self.act2 = nn.BatchNorm2d(depth), nn.PReLU(depth)
        self.conv3, self.norm3, self.act3 = nn.Conv2d(depth, depth, 1), nn.BatchNorm2d(depth), nn.PReLU(depth)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.conv1(x)))
        y = self.act2(self.norm2(self.conv2(y)))
        return self.act3(x + self.norm3(self.conv3(y)))


class PlainBlock(nn.Module):
    def __init__(self, before: int, depth: int) -> None:
        super().__init__()
        self.norm_in, self.conv = nn.BatchNorm2d(before), nn.Conv2d(before, depth, 3, padding=1)
        self.norm, self.act, self.residual = nn.BatchNorm2d(depth), nn.PReLU(depth), PlainResidual(depth)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(self.norm_in(x)), 2)
        return self.residual(self.act(self.norm(x)))


class PlainNetwork(nn.Module):
    """The network without lengths, in plain PyTorch. Its names are ours, so that it takes our weights."""

    def __init__(self, base_depth: int) -> None:
        super().__init__()
        depths = [int(1.5**k * base_depth) for k in range(5)]
        self.blocks = nn.ModuleList(PlainBlock(a, b) for a, b in zip([2, *depths], depths, strict=False))
        d = sum(depths[1:])
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(d),
            nn.Linear(d, d),
            nn.BatchNorm1d(d),
            nn.PReLU(d),
            nn.Dropout(0),
            nn.Linear(d, CLASSES),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        batch, bins, frames = spectrogram.shape
        encoding = (
            torch.linspace(-1, 1, bins).to(spectrogram).reshape(1, 1, -1, 1).expand(batch, 1, bins, frames)
        )
        x = torch.cat([spectrogram.unsqueeze(1), encoding], 1)
        highest = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k > 0:
                highest.append(x.flatten(2).amax(-1))
        return self.classifier(torch.cat(highest, -1))


def plain_lsep(scores: Tensor, target: Tensor) -> Tensor:
    wrong_way = target[:, None, :] < target[:, :, None]
    margins = scores[:, None, :] - scores[:, :, None]
    return torch.log1p((margins.exp() * wrong_way).sum((1, 2))).mean()


def sounds(clips: int) -> Tensor:
    """Return clips as different as recordings: pulses of tones with vibrato, over noise."""
    time_axis = torch.arange(10 * 44_100) / 44_100
    k = torch.arange(clips)[:, None]
    tone = torch.sin(
        2 * torch.pi * 110 * 1.3**k * time_axis + 3 * torch.sin(2 * torch.pi * (1 + k % 7) * time_axis)
    )
    pulses = torch.exp(-3 * ((time_axis * (1 + k % 5)) % 1))
    return 0.3 * tone * pulses + 0.002 * (1 + k) * torch.randn(clips, len(time_axis))


class Trained:
    """A network with its optimizer."""

    def __init__(
        self, network: nn.Module, loss: nn.Module | object, batch: tuple[Tensor, ...], target: Tensor
    ) -> None:
        self.network, self.loss, self.batch, self.target = network, loss, batch, target
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, amsgrad=True)
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def step(self) -> None:
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.loss(self.network(*self.batch), self.target)
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(float(loss.detach()))


def runs_of(depth: int, clips: int) -> dict[str, Trained]:
    spectrogram = LogMel()(sounds(clips))
    target = (torch.rand(clips, CLASSES) < 0.02).float()
    frames = torch.linspace(spectrogram.shape[-1] // 2, spectrogram.shape[-1], clips).long()

    plain, channels_last = PlainNetwork(depth), PlainNetwork(depth).to(memory_format=torch.channels_last)
    ours, with_lengths = (CNN2d(CLASSES, base_depth=depth) for _ in range(2))
    for network in (channels_last, ours, with_lengths):
        network.load_state_dict(plain.state_dict())
    return {
        "written plainly": Trained(plain, plain_lsep, (spectrogram,), target),
        "... channels last": Trained(channels_last, plain_lsep, (spectrogram,), target),
        "rankaudio": Trained(ours, LSEPLoss(), (spectrogram,), target),
        "... clips of 5 to 10 s": Trained(with_lengths, LSEPLoss(), (spectrogram, frames), target),
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    runs = runs_of(arguments.depth, arguments.clips)
    for _ in range(arguments.repeats):
        for run in runs.values():
            run.step()

    first, rows = runs["written plainly"], []
    for name, run in runs.items():
        best, loss = min(run.seconds), run.losses[0]
        error = f"{abs(loss - first.losses[0]):.1e}" if len(run.batch) == 1 else ""
        rows.append([name, f"{best:.2f} s", f"{min(first.seconds) / best:.2f}x", f"{loss:.6f}", error])
    title = (
        f"{arguments.clips} clips of 10 s, base depth {arguments.depth}, least of {arguments.repeats} steps"
    )
    with published(arguments.out):
        show(title, ["", "time", "speed", "first loss", "difference"], rows)


if __name__ == "__main__":
    main()
