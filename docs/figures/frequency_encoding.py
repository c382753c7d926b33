"""A spectrogram and its encoding, and the response of a convolution to one blob at all bands."""

import torch
import torch.nn.functional as F
from _parts import calls
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import frequency_encoding, log_mel

HEIGHT = 2.6


def blobs(bands: Tensor, bins: int = 128, frames: int = 15) -> Tensor:
    """``(B, F, N)`` with one round blob each, in the middle of the frames and at its band."""
    up = torch.arange(bins)[None, :, None] - bands[:, None, None]
    along = torch.arange(frames) - frames // 2
    return (-(up.square() + along.square()) / 8.0).exp()


def draw(figure: Figure) -> None:
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    encoded = frequency_encoding(log_mel(calls()[None], hop_length=345))[0]
    for axis, image, title in zip(axes, encoded, ("the spectrogram", "the encoding"), strict=False):
        shown = axis.imshow(image.numpy(), origin="lower", aspect="auto", cmap="magma", interpolation="none")
        axis.set(title=title, xlabel="frame")
    figure.colorbar(shown, ax=axes[1], ticks=[-1, 0, 1])
    axes[0].set_ylabel("mel band")

    bands = torch.arange(10, 118)
    kernel = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    both = frequency_encoding(blobs(bands))
    # No padding, and only near the blob, so that edges and empty places do not count.
    near = blobs(bands)[:, None, 1:-1, 1:-1] > 0.5
    answers = {
        "without encoding": F.conv2d(both[:, :1], kernel[:, :1]),
        "with encoding": F.conv2d(both, kernel),
    }
    for label, answer in answers.items():
        axes[2].plot(bands, answer.masked_fill(~near, -torch.inf).amax((1, 2, 3)), label=label)
    axes[2].set(title="strongest response", xlabel="band of the blob")
    axes[2].legend()
