"""The cost of a pair by its margin, and the gradients of LSEP and BCE for one clip."""

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from rankaudio import lsep_loss

HEIGHT = 2.8


def as_written(margin: Tensor) -> Tensor:
    """The formula for one pair, whose exponential overflows."""
    return (1 + margin.exp()).log()


def draw(figure: Figure) -> None:
    cost, pull = figure.subplots(1, 2)
    margin = torch.linspace(-20, 120, 561)
    pairs = torch.stack([margin, torch.zeros_like(margin)], dim=1)
    ours = lsep_loss(pairs, torch.tensor([[0, 1]]).expand_as(pairs), reduction="none")
    cost.plot(margin, ours, label="lsep_loss", linewidth=3.5, alpha=0.45)
    for dtype, style in ((torch.float32, "-"), (torch.float16, "--")):
        plain = as_written(margin.to(dtype)).float()
        finite = plain.isfinite()
        name = str(dtype).removeprefix("torch.")
        (line,) = cost.plot(margin[finite], plain[finite], style, label=f"as written, {name}")
        cost.plot(float(margin[finite][-1]), float(plain[finite][-1]), "x", color=line.get_color())
    cost.set(title="one pair", xlabel="score absent - score present", ylabel="loss", xlim=(-20, 120))
    cost.legend()

    target = torch.tensor([[1.0, 1, 0, 0, 0, 0, 0, 0]])
    scores = torch.tensor([[2.0, -1.0, 1.5, 0.0, -1.0, -2.0, -3.0, -4.0]], requires_grad=True)
    places = torch.arange(scores.shape[1])
    losses = {
        "LSEP": lsep_loss(scores, target),
        "BCE": F.binary_cross_entropy_with_logits(scores, target, reduction="sum"),
    }
    for shift, (name, loss) in zip((-0.2, 0.2), losses.items(), strict=True):
        (gradient,) = torch.autograd.grad(loss, scores)
        pull.bar((places + shift).tolist(), (-gradient[0]).tolist(), width=0.38, label=name)
    pull.axhline(0, color=pull.spines["left"].get_edgecolor(), linewidth=0.7)
    pull.set_xticks(places.tolist(), [f"{score:g}" for score in scores[0].tolist()])
    pull.set(
        title="one clip: the first two are present", xlabel="score of the class", ylabel="negative gradient"
    )
    pull.legend()
