"""Scores of the models of all folds, which read each clip and compute its spectrogram once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from freesound.build import build_scorer
from freesound.plans.base import Member
from rankaudio import Tagger, predict


class KeptSpectrograms(nn.Module):
    """A frontend that keeps its results of one batch, because several models have the same frontend."""

    def __init__(self, frontend: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.sample_rate = getattr(frontend, "sample_rate", None)
        self.kept: list[tuple[Tensor, Tensor | None, Tensor]] = []

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the spectrogram of clips, from an earlier call with the same clips if there was one."""
        for clips, ends, result in self.kept:
            if _same(clips, waveform) and _same(ends, lengths):
                return result
        result = self.frontend(waveform) if lengths is None else self.frontend(waveform, lengths)
        self.kept.append((waveform, lengths, result))
        return result

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Return the frames of clips of these lengths."""
        return self.frontend.frame_lengths(lengths)


class AllFolds(nn.Module):
    """Raw scores of several models with the same settings, ``(B, folds C)``. Pass it to :func:`predict`."""

    def __init__(self, member: Member, taggers: Sequence[Tagger]) -> None:
        super().__init__()
        self.taggers = nn.ModuleList(taggers)
        first = taggers[0].frontend
        self.shared = KeptSpectrograms(first)
        models = [
            Tagger(self.shared, tagger.backbone) if _equal(tagger.frontend, first) else tagger
            for tagger in taggers
        ]
        self.scorers = nn.ModuleList(build_scorer(member, model) for model in models)
        self.n_classes = len(taggers) * len(taggers[0].classes)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the scores of clips by the first model, then by the second, and so on."""
        try:
            side = self.taggers[0].side_inputs(waveform, lengths)
            return torch.cat([scorer(waveform, lengths, side) for scorer in self.scorers], dim=1)
        finally:
            self.shared.kept.clear()


def scores_of_folds(
    member: Member,
    taggers: Sequence[Tagger],
    clips: Sequence[Tensor] | Dataset[Tensor],
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[int, Exception], None] | None = None,
) -> Tensor:
    """Return raw scores ``(folds, N, C)``; other arguments as in :func:`rankaudio.predict`."""
    model = AllFolds(member, taggers)
    scores = predict(model, clips, workers=workers, progress=progress, on_error=on_error)
    return scores.reshape(len(scores), len(taggers), len(taggers[0].classes)).transpose(0, 1)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    return torch.equal(one, other)


def _equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two frontends compute the same."""
    settings = [getattr(frontend, "settings", None) for frontend in (one, other)]
    if one is other or None in settings:
        return one is other
    buffers = zip(one.named_buffers(), other.named_buffers(), strict=True)
    return (
        type(one) is type(other)
        and settings[0]() == settings[1]()
        and all(name == another and torch.equal(mine, theirs) for (name, mine), (another, theirs) in buffers)
    )
