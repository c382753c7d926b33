"""One clip's scores as its padding grows, without lengths and with them."""

import torch
from _parts import RATE, calls
from matplotlib.figure import Figure

from rankaudio import CNN2d, LogMel, Tagger, or_mixup

HEIGHT = 2.5


def draw(figure: Figure) -> None:
    torch.manual_seed(0)
    tagger = Tagger(LogMel(), CNN2d(4, n_blocks=4, base_depth=8))
    clip = calls(1.0).float()
    # Running statistics of sounds, so that silence is as unusual as in a trained network.
    some = torch.stack([clip.roll(k * RATE // 5) * 0.5**k + 0.01 * torch.randn(len(clip)) for k in range(5)])
    mixed, _, _ = or_mixup(some, torch.eye(5), p=1.0)
    for _ in range(20):
        tagger(torch.cat([some, mixed]))
    tagger.eval()

    seconds = torch.arange(0, 4.01, 0.25)
    batches = [torch.nn.functional.pad(clip, (0, round(float(s) * RATE)))[None] for s in seconds]
    versions = {
        "without lengths": [tagger(batch) for batch in batches],
        "with lengths": [tagger(batch, torch.tensor([len(clip)])) for batch in batches],
    }
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (title, scores) in zip(axes, versions.items(), strict=True):
        axis.plot(seconds, torch.cat(scores).detach())
        axis.set(title=title, xlabel="seconds of padding", xlim=(0, 4))
    axes[0].set_ylabel("scores of a clip of 1 s")
