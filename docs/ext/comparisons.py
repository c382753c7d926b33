"""A Sphinx extension that compares times of ours and of other programs, from the tables in ``docs/measured``.

    ```{comparisons}
    ```

shows a table of all comparisons, from the largest gain to the largest loss. ``docs/figures/comparisons.py``
draws them. If a benchmark writes other rows, the build fails and names the row that is missing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parents[1]


class Source(NamedTuple):
    """A table with times: its page, a part of the line above it, the column of the times, and their unit.

    ``names`` are the cells that name a row. ``unit`` is empty if the cells have one. ``peers`` is the column
    of the other program, if that is another one.
    """

    page: str
    above: str
    column: str
    names: tuple[int, ...] = (0,)
    unit: str = ""
    peers: str = ""


class Comparison(NamedTuple):
    """One time of ours and one of another program, as the cells of a table show them."""

    what: str
    peer: str
    ours: str
    theirs: str

    @property
    def ratio(self) -> float:
        """How many times as long the other program takes."""
        return number(self.theirs) / number(self.ours)


LSEP = Source("measured/losses", "LSEP, forward and backward, 64 x 527", "time", names=(0, 1))
FEW = Source("measured/lwlrap", "10,000 x 80, 1.2 labels", "median")
MANY = Source("measured/lwlrap", "2,000 x 527, 158.1 labels", "median")
SPECTROGRAMS = Source("measured/frontends", "Spectrograms on the CPU", "CPU ms", names=(0, 1, 2), unit=" ms")
MEL, STFT, ONE = "log-mel, 20 x 10 s", "log-STFT, 20 x 10 s", "log-STFT, 1 x 12 s"
STATISTICS = Source(
    "measured/waveform_statistics", "Statistics of 64 clips", "CPU seconds", names=(0, 1), unit=" s"
)
STEP = Source("measured/training_step", "20 clips as they are", "CPU time")
EQUAL_STEP = Source("measured/training_step", "20 clips of 10 s", "CPU time")
FIRST_STEP = Source("measured/first_place_step", "16 crops of 256 frames", "CPU time")
SCORING = Source("measured/inference", "2d, base depth 16", "time")
THRESHOLD = Source("measured/noisy", "Threshold for 1.2 labels", "least time")
AGREEMENT = Source("measured/noisy", "Agreement, 20,000 x 80", "least time")
EFFECTS = Source(
    "measured/effects_speed", "Batches of 20 clips", "ours, ms a batch", (0, 3), " ms", peers="peer, ms"
)
FILES = Source("measured/decoding", "12 files", "ours, ms", unit=" ms", peers="soundfile, ms")
RESAMPLED = FILES._replace(peers="librosa, ms")
EPOCH = Source("measured/epoch", "Batches of 20 real clips: 14; base depth 16", "CPU seconds", unit=" s")

# What is compared, with what, the table, the row of ours, and the other row.
ROWS = (
    ("LSEP, 0/1 targets", "a table of pairs", LSEP, "0/1, rankaudio", "0/1, pairwise table"),
    ("LSEP, graded targets", "a table of pairs", LSEP, "graded, rankaudio", "graded, pairwise table"),
    ("lwlrap, 1.2 labels a clip", "scikit-learn", FEW, "rankaudio, bool target", "scikit-learn, weighted"),
    ("lwlrap, 1.2 labels a clip", "torchmetrics", FEW, "rankaudio, bool target", "torchmetrics, unweighted"),
    ("lwlrap, 1.2 labels a clip", "the task's own program", FEW, "rankaudio, bool target", "accumulator"),
    ("lwlrap, 158 labels a clip", "scikit-learn", MANY, "rankaudio, bool target", "scikit-learn, weighted"),
    ("lwlrap, 158 labels a clip", "the task's own program", MANY, "rankaudio, bool target", "accumulator"),
    ("log-mel, 20 clips", "librosa", SPECTROGRAMS, f"{MEL}, rankaudio", f"{MEL}, librosa"),
    ("log-mel, 20 clips", "torch.stft", SPECTROGRAMS, f"{MEL}, rankaudio", f"{MEL}, plain torch.stft"),
    ("log-STFT, 20 clips", "librosa", SPECTROGRAMS, f"{STFT}, rankaudio", f"{STFT}, librosa"),
    ("log-STFT, 1 clip", "torch.stft", SPECTROGRAMS, f"{ONE}, rankaudio", f"{ONE}, plain torch.stft"),
    ("statistics of waveforms", "numpy", STATISTICS, "noise, rankaudio", "noise, numpy"),
    ("training step, depth 16", "channels last", STEP, "base 16, rankaudio", "base 16, plain, channels last"),
    ("training step, depth 50", "channels last", STEP, "base 50, rankaudio", "base 50, plain, channels last"),
    ("... clips of one length", "channels last", EQUAL_STEP, "base 16, rankaudio",
     "base 16, plain, channels last"),
    ("training step, first place", "written plainly", FIRST_STEP, "rankaudio", "written plainly"),
    ("training step, first place", "channels last", FIRST_STEP, "rankaudio", "... channels last"),
    ("scores of 400 clips", "random batches", SCORING, "predict", "random order, padding not masked"),
    ("threshold of labels", "numpy.quantile", THRESHOLD, "rankaudio, calibration included", "numpy.quantile"),
    ("noisy labels: agreement", "scikit-learn", AGREEMENT, "label_agreement", "scikit-learn, clip by clip"),
    ("third-place effects", "sox", EFFECTS, "chain, SoX", "chain, SoX"),
    ("reverb", "pedalboard", EFFECTS, "reverb, pedalboard", "reverb, pedalboard"),
    ("speed", "soxr", EFFECTS, "speed, soxr HQ", "speed, soxr HQ"),
    ("an epoch, all augmentation", "plain, with sox", EPOCH, "rankaudio", "written plainly, with SoX"),
    ("reading 24-bit WAV", "soundfile", FILES, "WAV 24 bits", "WAV 24 bits"),
    ("reading FLAC", "soundfile", FILES, "FLAC", "FLAC"),
    ("reading WAV of 48 kHz", "librosa with soxr", RESAMPLED, "WAV 16 bits, 48 kHz", "WAV 16 bits, 48 kHz"),
)  # fmt: skip


def number(cell: str) -> float:
    """Value of a cell such as ``1,321.7 ms``."""
    return float(re.match(r"[\d.,]+", cell)[0].replace(",", ""))


def tables(page: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Each table of a page as rows of cells, the header first, and the last line of text above it."""
    above, rows = "", []
    for line in [*(DOCS / f"{page}.md").read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                rows.append(cells)
            continue
        if rows:
            yield above, rows
            rows = []
        above = line or above


def cell_of(source: Source, name: str) -> str:
    """Find the time of a row."""
    for above, (header, *rows) in tables(source.page):
        for row in rows if source.above in above and source.column in header else []:
            if ", ".join(row[k] for k in source.names if k < len(row)) == name:
                return row[header.index(source.column)] + source.unit
    raise LookupError(f"docs/{source.page}.md: wanted a row {name!r} with the column {source.column!r}")


def comparisons() -> list[Comparison]:
    """All comparisons, the largest gain first."""
    found = [
        Comparison(
            what,
            peer,
            cell_of(source, ours),
            cell_of(source._replace(column=source.peers or source.column), theirs),
        )
        for what, peer, source, ours, theirs in ROWS
    ]
    return sorted(found, key=lambda one: -one.ratio)


def times(ratio: float) -> str:
    """Show a ratio with two digits, such as ``231``, ``2.5`` or ``0.70``."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1.95 else f"{ratio:.2f}"


class Comparisons(SphinxDirective):
    """Show all comparisons as a table."""

    def run(self) -> list[nodes.Node]:
        for _, _, source, _, _ in ROWS:
            self.env.note_dependency(str(DOCS / f"{source.page}.md"))
        lines = [
            "| times as fast | what | compared with | ours | theirs |",
            "| --: | --- | --- | --: | --: |",
        ]
        lines += [
            f"| {times(one.ratio)} | {one.what} | {one.peer} | {one.ours} | {one.theirs} |"
            for one in comparisons()
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("comparisons", Comparisons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
