"""A Sphinx extension that draws the pictures of the pages while they are built.

``docs/figures/NAME.py`` has ``HEIGHT``, in inches, and ``draw(figure)``, which fills an empty Matplotlib
figure. A page shows it with

    ```{picture} NAME
    :alt: what the picture shows, for people who cannot see it

    The caption.
    ```

Each picture is drawn twice, in the colours of the light and the dark theme, and the page shows the right one.
So scripts use the colours "C0" to "C3" and colour maps, and leave the colours of text and axes alone. Files
whose names begin with an underscore are for scripts to import.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WIDTH = 7.5  # inches, the width of the text column
SHARED = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "rankaudio",
}
INK = {"light": "#3b4048", "dark": "#c9ced6"}
CYCLES = {
    "light": ["#2a6fbb", "#cc5a1e", "#2f8a57", "#8552a6"],
    "dark": ["#6cb0f2", "#f29b62", "#69c48f", "#c69be2"],
}
INKED = ("axes.edgecolor", "axes.labelcolor", "legend.labelcolor", "text.color", "xtick.color", "ytick.color")


class Picture(SphinxDirective):
    """Draw the picture of that name, and show it as a figure with a caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012  (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        script = Path(self.env.srcdir) / "figures" / f"{self.arguments[0]}.py"
        if not script.is_file() or "alt" not in self.options:
            raise self.error(f"picture: wanted {script} and an :alt: text")
        self.env.note_dependency(str(script))
        figure = nodes.figure()
        for theme, path in draw(script, Path(self.env.srcdir) / "_build" / "pictures"):
            uri = "/" + path.relative_to(self.env.srcdir).as_posix()
            figure += nodes.image(uri=uri, alt=self.options["alt"], classes=[f"only-{theme}"])
        caption = nodes.caption()
        for paragraph in self.parse_content_to_nodes():
            caption += paragraph.children
        figure += caption
        return [figure]


def draw(script: Path, folder: Path, form: str = "svg") -> Iterator[tuple[str, Path]]:
    """Draw a script's picture once for each theme, and yield the themes and the files."""
    folder.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(script.stem)
    for theme, ink in INK.items():
        colours = {**dict.fromkeys(INKED, ink), "axes.prop_cycle": mpl.cycler(color=CYCLES[theme])}
        with mpl.rc_context({**SHARED, **colours, "axes.facecolor": "none", "figure.facecolor": "none"}):
            figure = Figure(figsize=(WIDTH, module.HEIGHT), layout="constrained")
            module.draw(figure)
            path = folder / f"{script.stem}-{theme}.{form}"
            # In an SVG the resolution is for spectrograms; everything else is lines.
            figure.savefig(path, dpi=200, metadata={"Date": None} if form == "svg" else None)
            yield theme, path


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    sys.path.insert(0, str(Path(app.srcdir) / "figures"))
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
