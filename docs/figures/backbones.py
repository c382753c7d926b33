"""The sizes of the blocks' outputs, and the effect of padding on scores without and with lengths."""

import torch
import torch.nn.functional as F
from _parts import RATE, calls
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from rankaudio import CNN2d, frame_lengths, log_mel

HEIGHT = 3.2


def block_sizes(model: CNN2d, spectrogram: Tensor) -> list[tuple[int, ...]]:
    """Depth, bins and frames of each block's output."""
    sizes: list[tuple[int, ...]] = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: sizes.append(tuple(out[0].shape[1:])))
        for block in model.blocks
    ]
    model(spectrogram)
    for hook in hooks:
        hook.remove()
    return sizes


def show_blocks(axis: Axes, model: CNN2d, spectrogram: Tensor) -> None:
    x, ink = 0.0, axis.spines["left"].get_edgecolor()
    for k, (depth, bins, frames) in enumerate(block_sizes(model, spectrogram)):
        axis.add_patch(Rectangle((x, 0), frames, bins, alpha=0.6, color=f"C{int(k == 0)}"))
        middle = x + frames / 2
        axis.text(
            middle, -3, f"block {k}\n{depth} deep\n{bins} × {frames}", ha="center", va="top", fontsize=7
        )
        if k >= model.start_deep_supervision_on:
            arrow = {"arrowstyle": "->", "color": ink, "linewidth": 0.8}
            axis.annotate("", xy=(middle, 76), xytext=(middle, bins + 1), arrowprops=arrow)
        x += max(frames, 18) + 9
    inputs = model.classifier[1].in_features
    axis.text(x, 79, f"pooled, {inputs} numbers: the classifier", ha="right")
    axis.set(xlim=(-2, x), ylim=(-28, 88), title="CNN2d, base depth 50")
    axis.axis("off")


@torch.no_grad()
def draw(figure: Figure) -> None:
    blocks, padding = figure.subplots(1, 2, width_ratios=[1.7, 1])
    clip = calls(2.0)[None].float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        show_blocks(blocks, CNN2d(80, base_depth=50).eval(), log_mel(clip))
        model = CNN2d(80, base_depth=8).eval()
    samples = torch.tensor([clip.shape[1]])
    frames = frame_lengths(samples, hop_length=1024)
    alone, seconds = model(log_mel(clip)), [0.5 * half for half in range(1, 11)]
    moved: dict[str, list[float]] = {"without lengths": [], "with lengths": []}
    for padded in (F.pad(clip, (0, round(more * RATE))) for more in seconds):
        outcomes = model(log_mel(padded)), model(log_mel(padded, samples), frames)
        for changes, scores in zip(moved.values(), outcomes, strict=True):
            changes.append(float((scores - alone).abs().max() / alone.std()))
    for label, changes in moved.items():
        padding.semilogy(seconds, [max(change, 1e-9) for change in changes], "o-", markersize=3, label=label)
    padding.set(
        title="change in the scores",
        xlabel="seconds of silence after the clip",
        ylabel="relative to their spread",
    )
    padding.legend(loc="center right")
