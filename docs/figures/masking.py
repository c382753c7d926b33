"""A log-mel spectrogram, with masks, and with a rectangle that is stretched."""

import torch
from _parts import glide, noise
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rankaudio import LogMel, RandomResizedCrop, SpecAugment

HEIGHT = 2.5


def draw(figure: Figure) -> None:
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    frontend = LogMel(hop_length=345)
    clip = glide(2.0, 300.0, 3000.0) + 0.003 * noise(2.0)
    spectrogram = frontend(clip[None])
    mask = SpecAugment(p=1.0)
    masked, _ = mask.replay(spectrogram, mask.draw(spectrogram, generator=torch.Generator().manual_seed(2)))
    cut = RandomResizedCrop(p=1.0, scale=(0.5, 0.6))
    drawn = cut.draw(spectrogram, generator=torch.Generator().manual_seed(1))
    stretched, _ = cut.replay(spectrogram, drawn)
    levels = {"vmin": float(spectrogram.min()), "vmax": float(spectrogram.max())}
    titles = ("the clip", "spec_augment", "random_resized_crop")
    for axis, image, title in zip(axes, (spectrogram, masked, stretched), titles, strict=True):
        axis.imshow(
            image[0].numpy(), origin="lower", aspect="auto", cmap="magma", interpolation="none", **levels
        )
        axis.set(title=title, xlabel="frame")
    bottom, height, start, width = (int(drawn[name]) for name in ("bottom", "height", "start", "width"))
    axes[0].add_patch(
        Rectangle((start, bottom), width, height, fill=False, edgecolor="#40e0d0", linewidth=1.5)
    )
    axes[0].set_ylabel("mel band")
