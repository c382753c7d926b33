"""The hardest clips: to look at and to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freesound.report.data import Part
from freesound.report.markup import Html, h
from freesound.report.media import FLOOR_DB, Clip, Quality, choose_quality, colour_scale, png, read_clip
from freesound.report.numbers import Hard, hardest

TOP = 3


def clip_sections(parts: Sequence[Part], *, most: int) -> list[Html | None]:
    """One section for each part; sound quality and colours are the same in all of them."""
    hard = [hardest(part.scores.scores, part.labels.target, most=most) for part in parts]
    paths = [
        [part.audio / part.scores.names[one.row] for one in some]
        for part, some in zip(parts, hard, strict=True)
    ]
    quality = choose_quality([path for some in paths for path in some])
    clips = {path: _read(path, quality) for some in paths for path in some}
    images = [clip.image for clip in clips.values() if isinstance(clip, Clip)]
    high = max((float(image.max()) for image in images), default=0.0)
    low = max(high + FLOOR_DB, min((float(image.min()) for image in images), default=0.0))
    low = min(low, high - 1)  # silence alone still needs two ends of a scale
    return [
        _section(part, some, [clips[path] for path in of_part], quality=quality, low=low, high=high)
        for part, some, of_part in zip(parts, hard, paths, strict=True)
    ]


def _read(path: Path, quality: Quality) -> Clip | str:
    """The clip, or why there is none: one broken file does not cost the page."""
    try:
        return read_clip(path, quality)
    except (OSError, ValueError, ImportError) as error:
        return str(error)


def _section(
    part: Part, hard: list[Hard], clips: list[Clip | str], *, quality: Quality, low: float, high: float
) -> Html | None:
    if not part.labels.target.any():
        return None
    if not hard:
        return h("p", None, "No clip has a wrong class above one of its labels.")
    said = (
        f"The {len(hard)} clips with the lowest label-ranking average precision (LRAP), and the rank of each "
        f"of their labels among {len(part.scores.classes)} classes. Spectrograms span 5 Hz to 22 kHz in mel "
        "bands and share one scale of colours; click in one to hear it from there. To keep this page small, "
        f"longer clips are cut to their loudest {quality.seconds:g} s, and sound is mono, 16 bits, at most "
        f"{quality.sample_rate:,} samples per second."
    )
    scale = h(
        "p",
        {"class": "scale"},
        h("span", None, f"{low - high:.0f} dB".replace("-", "−")),
        h("i", {"style": f"background:{colour_scale()}"}),
        "0 dB (the loudest point of all clips shown)",
    )
    cards = [_card(part, one, clip, low=low, high=high) for one, clip in zip(hard, clips, strict=True)]
    return Html(h("p", {"class": "lead"}, said) + scale + h("div", {"class": "cards"}, cards))


def _card(part: Part, one: Hard, clip: Clip | str, *, low: float, high: float) -> Html:
    name, classes = part.scores.names[one.row], part.scores.classes
    row, labels = part.scores.scores[one.row], part.labels.target[one.row]
    given = [
        h("li", {"class": "given"}, classes[c], h("small", None, f" rank {rank}"))
        for c, rank in sorted(one.ranks.items(), key=lambda pair: pair[1])
    ]
    best = row.argsort(descending=True, stable=True)[:TOP].tolist()
    heard = [h("li", {"class": "given" if labels[c] else "wrong"}, classes[c]) for c in best]
    return h(
        "article",
        {"class": "card clip"},
        h("h3", None, h("span", None, name), h("small", None, f"LRAP {one.lrap:.3f}")),
        _media(name, clip, low=low, high=high),
        h("dl", None, _row("Labels", given), _row("Ranked first", heard)),
    )


def _row(title: str, items: list[Html]) -> Html:
    return Html(h("dt", None, title) + h("dd", None, h("ul", {"class": "tags"}, items)))


def _media(name: str, clip: Clip | str, *, low: float, high: float) -> Html:
    if isinstance(clip, str):
        return h("p", {"class": "gone"}, f"No picture and no sound: {clip}")
    cut = f"{clip.seconds:.1f} s"
    if clip.seconds < clip.whole:
        cut = f"{clip.start:.1f} to {clip.start + clip.seconds:.1f} s of {clip.whole:.1f} s"
    picture = h(
        "img",
        {"src": png(clip.image, low=low, high=high), "alt": f"Spectrogram of {name}", "loading": "lazy"},
    )
    return Html(
        h("div", {"class": "picture"}, picture, h("b", {"class": "head"}), h("small", None, cut))
        + h("audio", {"controls": "", "preload": "metadata", "src": clip.sound})
    )
