"""A clip on its way through the augmentation of the first-place system."""

import torch
from _parts import calls, glide, noise
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import PadOrCrop, RandomResizedCrop, SigmoidConcatMixup, SpecAugment
from rankaudio.spectral import DecibelMel, DeltaChannels

HEIGHT = 4.6


def stages() -> dict[str, Tensor]:
    """Return the first of two clips after each stage, ``(F, N)`` each."""
    frontend = DecibelMel(scale=0.01)
    long = 0.5 * glide(6.0, 300.0, 3000.0) + 1e-3 * noise(6.0)
    short = calls(2.5) + 1e-3 * noise(2.5, seed=1)
    generator, label = torch.Generator().manual_seed(4), torch.eye(2)
    crop = PadOrCrop(size=256, fill="minimum", wrap=0.5)
    parts = [crop(frontend(clip[None]), generator=generator)[0] for clip in (long, short)]
    spectrogram = torch.cat(parts)
    found = {"crop of 256 frames": spectrogram}
    spectrogram, _ = RandomResizedCrop(p=1.0)(spectrogram, generator=generator)
    found["a part, stretched"] = spectrogram
    spectrogram, _ = SpecAugment(p=1.0)(spectrogram, generator=generator)
    found["masks"] = spectrogram
    channels, _ = DeltaChannels()(spectrogram)
    mixed, *_ = SigmoidConcatMixup(p=1.0)(channels, label, generator=generator)
    found |= {"mixed with another clip": mixed[:, 0], "slope": mixed[:, 1], "curvature": mixed[:, 2]}
    return {name: images[0] for name, images in found.items()}


def draw(figure: Figure) -> None:
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    shown = stages()
    levels = torch.stack(list(shown.values())[:4])
    for number, (axis, (title, image)) in enumerate(zip(axes.flat, shown.items(), strict=True)):
        if number < 4:
            low, high = float(levels.min()), float(levels.max())
        else:
            high = float(image.abs().quantile(0.99))
            low = -high
        axis.imshow(
            image.numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma" if number < 4 else "RdBu_r",
            interpolation="none",
            vmin=low,
            vmax=high,
        )
        axis.set(title=title, xlabel="frame" if number > 2 else "", ylabel="mel band" * (number % 3 == 0))
