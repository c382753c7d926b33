"""One clip's scores alone and in a padded batch, from a plain network and from ours."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from freesound.synthetic import SAMPLE_RATE, SOUNDS
from rankaudio import CNN2d, LogMel, Tagger, lsep_loss, pad_collate
from rankaudio.data import Batch

HEIGHT = 3.3
NAMES = ("Bell", "Birdsong", "Clock", "Drum", "Flute", "Hiss", "Organ", "Wind")
STEPS = 60
SHOWN, SECONDS, PARTNER_SECONDS = "Birdsong", 0.6, 4.0
MEL = {"n_fft": 1024, "hop_length": 1024, "n_mels": 32}


def clip(name: str, seconds: float, rng: np.random.Generator) -> Tensor:
    """Make a clip with one sound and some noise."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = SOUNDS[name](t, rng)
    wave = 0.5 * wave / np.abs(wave).max() + 0.003 * rng.standard_normal(len(t))
    return torch.from_numpy(wave).float()


def batches(rng: np.random.Generator) -> list[tuple[Batch, Tensor]]:
    """Make padded batches of clips of 0.4 to 3 s, one of each sound."""
    made = []
    for _ in range(STEPS):
        clips = [clip(name, 0.4 * 7.5 ** rng.random(), rng) for name in NAMES]
        made.append((pad_collate(clips), torch.eye(len(NAMES))))
    return made


def plain_network() -> nn.Module:
    """Build what most programs have: convolutions, batch norm and a mean over the whole rectangle."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, MEL["n_mels"]))]
    for depth, wider in ((1, 8), (8, 16), (16, 32)):
        convolution = nn.Conv2d(depth, wider, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2)]
    mean = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, len(NAMES))]
    return nn.Sequential(LogMel(**MEL), *layers, *mean)


def train(network: nn.Module, scores_of: Callable[[Batch], Tensor], data: list[tuple[Batch, Tensor]]) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for batch, target in data:
        optimizer.zero_grad()
        lsep_loss(scores_of(batch), target).backward()
        optimizer.step()
    network.eval()


@cache
def trained() -> dict[str, Callable[[Batch], Tensor]]:
    """Train both networks on the same batches, and return how each one scores a batch."""
    torch.manual_seed(0)
    plain = plain_network()
    ours = Tagger(LogMel(**MEL), CNN2d(len(NAMES), n_blocks=3, base_depth=8))
    ways = {
        "a plain network": (plain, lambda batch: plain(batch.waveform)),
        "rankaudio": (ours, lambda batch: ours(batch.waveform, batch.lengths)),
    }
    data = batches(np.random.default_rng(0))
    for network, scores_of in ways.values():
        train(network, scores_of, data)
    return {title: scores_of for title, (_, scores_of) in ways.items()}


def show_batch(axis: Axes, batch: Batch, title: str) -> None:
    """Show the spectrogram of a batch's first clip, with its padding left empty."""
    image = LogMel(hop_length=512, n_mels=64)(batch.waveform[:1, : int(batch.lengths[0])])[0].numpy()
    seconds = float(batch.lengths[0]) / SAMPLE_RATE
    axis.imshow(image, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, 1))
    whole = batch.waveform.shape[1] / SAMPLE_RATE
    if whole > seconds:
        axis.fill_between([seconds, whole], 0, 1, alpha=0.15, linewidth=0, color="C0")
        axis.text((seconds + whole) / 2, 0.5, "padding", ha="center", va="center")
    axis.set(title=title, xlim=(0, PARTNER_SECONDS), ylim=(0, 1), yticks=[])


def show_scores(axis: Axes, title: str, alone: Tensor, padded: Tensor) -> None:
    """Show each class's score alone and in the batch, with a line between both."""
    rows = list(range(len(NAMES)))
    axis.hlines(rows, alone, padded, color="C1", linewidth=2.5)
    axis.plot(alone, rows, "o", color="C0", markersize=6, label="alone")
    axis.plot(
        padded,
        rows,
        "o",
        color="C1",
        markersize=9,
        markerfacecolor="none",
        markeredgewidth=1.6,
        label="in a batch",
    )
    difference = float((alone - padded).abs().max())
    shown = f"{difference:.1f}" if difference > 0.05 else f"{difference:.7f}"
    first, then = NAMES[int(alone.argmax())], NAMES[int(padded.argmax())]
    ranks = f"{first} alone, {then} in the batch" if first != then else f"{first} both times"
    axis.set(title=f"{title}: up to {shown} off\n{ranks}", xlabel="score", ylim=(len(NAMES) - 0.4, -0.6))


def draw(figure: Figure) -> None:
    grid = figure.add_gridspec(2, 3, width_ratios=(1.0, 1.0, 1.0))
    rng = np.random.default_rng(1)
    sound, partner = clip(SHOWN, SECONDS, rng), clip("Wind", PARTNER_SECONDS, rng)
    alone, padded = pad_collate([sound]), pad_collate([sound, partner])
    above, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    show_batch(above, alone, "a clip of birdsong, alone")
    show_batch(below, padded, "the same clip, in a batch")
    below.set_xlabel("seconds")
    axes = [figure.add_subplot(grid[:, column]) for column in (1, 2)]
    for axis, (title, scores_of) in zip(axes, trained().items(), strict=True):
        with torch.inference_mode():
            show_scores(axis, title, scores_of(alone)[0], scores_of(padded)[0])
        axis.set_yticks(range(len(NAMES)), NAMES if axis is axes[0] else [""] * len(NAMES))
    axes[0].legend(loc="lower right")
