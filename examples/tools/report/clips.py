"""The hardest clips of each part, with picture and sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.report.data import Part
from tools.report.figures import HardClip, hardest_clips
from tools.report.media import FLOOR_DB, Clip, Quality, choose_quality, colour_scale, png, read_clip

TOP_CLASSES = 3


class Card(NamedTuple):
    """One clip: its labels with their ranks, the top classes and whether they are right, and the media."""

    name: str
    lrap: float
    labels: list[tuple[str, int]]
    top: list[tuple[str, bool]]
    error: str = ""
    picture: str = ""
    sound: str = ""
    excerpt: str = ""


class Clips(NamedTuple):
    """The clips of one part; sound quality and colour scale are the same in all parts."""

    has_labels: bool
    n_classes: int
    cards: list[Card]
    quality: Quality
    range_db: float
    colours: str


def hard_clips(parts: Sequence[Part], *, most: int) -> list[Clips]:
    """Read the hardest clips of all parts."""
    hard = [hardest_clips(part.scores.scores, part.labels.target, most=most) for part in parts]
    paths = [
        [part.audio / part.scores.names[one.row] for one in some]
        for part, some in zip(parts, hard, strict=True)
    ]
    quality = choose_quality([path for some in paths for path in some])
    clips = {path: _read(path, quality) for some in paths for path in some}
    low, high = _levels([clip for clip in clips.values() if isinstance(clip, Clip)])
    return [
        Clips(
            has_labels=bool(part.labels.target.any()),
            n_classes=len(part.scores.classes),
            cards=[
                _card(part, one, clips[path], low=low, high=high)
                for one, path in zip(some, of_part, strict=True)
            ],
            quality=quality,
            range_db=high - low,
            colours=colour_scale(),
        )
        for part, some, of_part in zip(parts, hard, paths, strict=True)
    ]


def _read(path: Path, quality: Quality) -> Clip | str:
    """Read a clip, or return the error, because one damaged file should not prevent the page."""
    try:
        return read_clip(path, quality)
    except (OSError, ValueError, ImportError) as error:
        return str(error)


def _levels(clips: Sequence[Clip]) -> tuple[float, float]:
    """Return the ends of the colour scale in decibels."""
    high = max((float(clip.image.max()) for clip in clips), default=0.0)
    low = max(high + FLOOR_DB, min((float(clip.image.min()) for clip in clips), default=0.0))
    return min(low, high - 1), high  # even silence needs a scale with two ends


def _card(part: Part, one: HardClip, clip: Clip | str, *, low: float, high: float) -> Card:
    names = part.scores.classes
    row, target = part.scores.scores[one.row], part.labels.target[one.row]
    best = row.argsort(descending=True, stable=True)[:TOP_CLASSES].tolist()
    card = Card(
        name=part.scores.names[one.row],
        lrap=one.lrap,
        labels=[(names[c], rank) for c, rank in sorted(one.ranks.items(), key=lambda pair: pair[1])],
        top=[(names[c], bool(target[c])) for c in best],
    )
    if isinstance(clip, str):
        return card._replace(error=clip)
    excerpt = f"{clip.seconds:.1f} s"
    if clip.seconds < clip.whole:
        excerpt = f"{clip.start:.1f} to {clip.start + clip.seconds:.1f} s of {clip.whole:.1f} s"
    return card._replace(picture=png(clip.image, low=low, high=high), sound=clip.sound, excerpt=excerpt)
