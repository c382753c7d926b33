"""A Sphinx extension that writes formulas as MathML, which browsers can show.

So formulas need no script and no network, and a wrong formula fails the build.
"""

import math_core
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
converter = math_core.LatexToMathML(fancy_error=False)


def mathml(node: nodes.math | nodes.math_block, *, display: bool) -> str:
    """Convert the LaTeX of a node. Several lines are aligned, as Sphinx does it."""
    latex = node.astext().strip()
    if display and ("\\\\" in latex or "&" in latex):
        latex = rf"\begin{{align*}}{latex}\end{{align*}}"
    try:
        return converter.convert_with_local_state(latex, displaystyle=display)
    except math_core.LatexError as error:
        logger.warning("a formula cannot be shown: %s\n%s", error, latex, location=node)
        return ""


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(mathml(node, display=False))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own line."""
    self.body.append(f'<div class="formula">{mathml(node, display=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
