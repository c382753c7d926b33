"""A Sphinx extension that runs a script while the pages are built, and shows its results.

    ```{script} NAME
    ```

runs ``examples/gallery/NAME.py``. Its cells begin with ``# %%``, which editors know too. The page shows the
docstring. For each cell it then shows the leading comment as text, the code, the printed output, the figures
left in pyplot, and a player for each WAV file. The label of a figure, ``plt.subplots(num=...)``, is its text
for people who cannot see it. A script that raises an error fails the build.

sphinx-gallery does nearly all of that. But it draws a figure once, and these pages have a light and a dark
theme. It also plays no sounds. Both could be added to it in about half as many lines as this file has. But
then text would have to be reStructuredText, and generated pages would be among the written ones.

A script runs once. Its figures are drawn in the colours of the light theme, as SVG. In the text of the SVG,
each colour is then replaced by that of the dark theme. So scripts use the colours "C0" to "C3" and colour
maps, like those of ``pictures``.
"""

import ast
import contextlib
import html
import io
import re
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
from docutils import nodes
from matplotlib import pyplot as plt
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pictures import CYCLES, INK, INKED, SHARED, WIDTH

LIGHT = {
    **SHARED,
    **dict.fromkeys(INKED, INK["light"]),
    "axes.facecolor": "none",
    "axes.prop_cycle": mpl.cycler(color=CYCLES["light"]),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "figure.figsize": (WIDTH, 0.4 * WIDTH),
}
DARK = dict(zip([INK["light"], *CYCLES["light"]], [INK["dark"], *CYCLES["dark"]], strict=True))


class Script(SphinxDirective):
    """Run the script of that name, and show its text, its code and its results."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        script = Path(self.env.srcdir).parent / "examples" / "gallery" / f"{self.arguments[0]}.py"
        if not script.is_file():
            raise self.error(f"script: wanted {script}, and there is no such file")
        self.env.note_dependency(str(script))
        mpl.use("agg")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), mpl.rc_context(LIGHT):
            try:
                return list(self.shown(script))
            except Exception:  # noqa: BLE001  (a script may raise anything)
                raise self.error(f"script: {script} failed\n{traceback.format_exc()}") from None
            finally:
                plt.close("all")

    def shown(self, script: Path) -> Iterator[nodes.Node]:
        """The page, part by part; each cell runs when it is reached."""
        source = script.read_text(encoding="utf-8")
        yield from self.parse_text_to_nodes(ast.get_docstring(ast.parse(source)))
        up = "../" * (1 + self.env.docname.count("/"))
        download = f"{{download}}`examples/gallery/{script.name} <{up}examples/gallery/{script.name}>`"
        yield from self.parse_text_to_nodes(f"All of it is in {download}.")
        names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
        for text, code, line in cells(source):
            yield from self.parse_text_to_nodes(text)
            if not code:
                continue
            yield nodes.literal_block(code, code, language="python")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                # Empty lines in front give a traceback the line numbers of the file.
                exec(compile("\n" * line + code, script, "exec"), names)  # noqa: S102
            if printed.getvalue():
                yield nodes.literal_block(printed.getvalue(), printed.getvalue(), language="text")
            yield from self.figures(script.stem, line)
            yield from self.players(script.stem)

    def figures(self, stem: str, line: int) -> Iterator[nodes.Node]:
        for number in plt.get_fignums():
            figure, drawing = plt.figure(number), io.StringIO()
            # The resolution is for spectrograms; everything else is lines.
            figure.savefig(drawing, format="svg", dpi=200, metadata={"Date": None})
            plt.close(figure)
            light = drawing.getvalue()
            dark = re.sub("|".join(DARK), lambda match: DARK[match[0]], light)
            drawn = nodes.container(classes=["drawn"])
            for theme, text in (("light", light), ("dark", dark)):
                uri = self.keep(f"{stem}-{line}-{number}-{theme}.svg", text.encode())
                drawn += nodes.image(uri=f"/{uri}", alt=figure.get_label(), classes=[f"only-{theme}"])
            yield drawn

    def players(self, stem: str) -> Iterator[nodes.Node]:
        players = []
        for sound in sorted(Path().glob("*.wav"), key=lambda path: path.stat().st_mtime_ns):
            uri = self.keep(f"{stem}-{sound.name}", sound.read_bytes())
            sound.unlink()
            # Like the role for downloads: a copy goes with the pages.
            place = quote(self.env.dlfiles.add_file(self.env.docname, uri).as_posix())
            source = "../" * self.env.docname.count("/") + f"_downloads/{place}"
            player = f'<audio controls preload="none" src="{source}"></audio>'
            players.append(f"<figure><figcaption>{html.escape(sound.stem)}</figcaption>{player}</figure>")
        if players:
            yield nodes.raw("", f'<div class="players">{"".join(players)}</div>', format="html")

    def keep(self, name: str, content: bytes) -> str:
        """Write a file that a page shows, and return its path for the page."""
        path = Path(self.env.srcdir) / "_build" / "gallery" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path.relative_to(self.env.srcdir).as_posix()


def cells(source: str) -> Iterator[tuple[str, str, int]]:
    """Text and code of each cell after the docstring, and the number of lines before the code."""
    lines = source.splitlines()
    first = ast.parse(source).body[0].end_lineno
    starts = [first, *(index for index in range(first, len(lines)) if lines[index].startswith("# %%"))]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        text, code = [], start
        while code < end and (not lines[code] or lines[code].startswith("#")):
            text.append(lines[code].removeprefix("# %%").removeprefix("#").removeprefix(" "))
            code += 1
        yield "\n".join(text), "\n".join(lines[code:end]).rstrip(), code


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("script", Script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
