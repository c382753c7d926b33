"""Both frontends on one clip, the mel bands, and a derivative."""

import torch
from _parts import RATE, calls, claps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import LogMel, LogSTFT, deltas, mel_filterbank

HEIGHT = 4.4


def show(axis: Axes, image: Tensor, title: str, rows: str, *, cmap: str = "magma") -> None:
    limit = float(image.abs().max()) if cmap != "magma" else None
    axis.imshow(
        image.numpy(),
        origin="lower",
        aspect="auto",
        cmap=cmap,
        interpolation="none",
        extent=(0, 1.6, 0, len(image)),
        vmin=None if limit is None else -limit,
        vmax=limit,
    )
    axis.set(title=title, xlabel="seconds", ylabel=rows)


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 2)
    clip = (calls() + claps().roll(RATE // 5))[None]
    mel, stft = LogMel(), LogSTFT()
    show(axes[0, 0], mel(clip)[0], f"log-mel, {mel.descriptor}", "mel band")
    show(axes[0, 1], stft(clip)[0], f"log-STFT, {stft.descriptor}", "bin")
    bands = mel_filterbank(norm="none")
    hertz = torch.arange(bands.shape[1]) * RATE / 2048
    for row, band in enumerate(bands[4::8]):
        axes[1, 0].plot(hertz / 1000, band, color=f"C{row % 4}", linewidth=1)
    axes[1, 0].set(title="mel bands", xlabel="kHz", ylabel="weight", xlim=(0, RATE / 2000))
    show(axes[1, 1], deltas(mel(clip))[0, 1], "first derivative", "mel band", cmap="PuOr")
