"""How one clip is counted, and the effect of a sigmoid as the scale of the scores grows."""

import torch
from matplotlib.figure import Figure

from rankaudio import lwlrap

HEIGHT = 2.9


def draw(figure: Figure) -> None:
    clip, saturation = figure.subplots(1, 2)
    names = ["Bark", "Hiss", "Growl", "Purr", "Meow", "Gong"]
    scores = torch.tensor([[2.6, 2.1, 1.7, 0.9, 0.4, -0.3]])
    target = torch.tensor([[1, 0, 1, 0, 1, 0]])
    per_class = lwlrap(scores, target, average=None).lwlrap
    colours = ["C0" if true else "C1" for true in target[0].tolist()]
    bars = clip.barh(names, (scores[0] + 1).tolist(), left=-1, color=colours)
    for bar, true, precision, above in zip(bars, target[0], per_class, range(1, 7), strict=True):
        if true:
            hits = round(float(precision) * above)
            clip.text(
                bar.get_x() + bar.get_width() + 0.08, bar.get_y() + 0.4, f"{hits} of {above}", va="center"
            )
    clip.invert_yaxis()
    clip.set(title=f"one clip: lwlrap {float(lwlrap(scores, target)):.3f}", xlabel="score", xlim=(-1, 3.4))

    generator = torch.Generator().manual_seed(0)
    present = torch.rand(500, 80, generator=generator) < 0.03
    raw = torch.randn(500, 80, generator=generator) + 1.5 * present
    scales = torch.arange(1, 31)
    versions = {
        "raw scores": lambda scale: raw * scale,
        "sigmoid, float32": lambda scale: (raw * scale).sigmoid(),
        "sigmoid, bfloat16": lambda scale: (raw * scale).bfloat16().sigmoid(),
    }
    for label, version in versions.items():
        saturation.plot(scales, [float(lwlrap(version(scale), present)) for scale in scales], label=label)
    saturation.set(title="500 clips, the same order", xlabel="scores multiplied by", ylabel="lwlrap")
    saturation.set(xlim=(0, 30), ylim=(0, None))
    saturation.legend()
