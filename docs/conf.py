"""Settings of Sphinx for these pages. `make docs` builds them, and every warning fails the build."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "ext"), str(HERE.parent / "tests" / "helpers"), str(HERE.parent / "examples")]

project = "rankaudio"
author = "The rankaudio developers"
copyright = f"2026, {author}"
release = version = installed_version("rankaudio")

extensions = [
    "api",
    "comparisons",
    "coverage",
    "doctests",
    "formulas",
    "gallery",
    "myst_parser",
    "pictures",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "ext", "figures", "measured", "pypi.md", "static"]
html_theme = "furo"
html_title = f"rankaudio {release}"
html_static_path = ["static"]
html_css_files = ["gallery.css", "pages.css"]
html_math_renderer = "mathml"

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "extra_repr",
}
autodoc_typehints_format = "short"
autosummary_generate = False  # the tables of the reference need no page for each name
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Reference"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]

# An unresolved reference is a mistake, except for names of packages whose pages are not available here.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(torch|nn|np|numpy|scipy|collections|typing|typing_extensions|os|pathlib|random)\..*"),
    (
        r"py:.*",
        r"(Array|Tensor|Path|PathLike|NDArray|Module|Generator|Self|TypeAlias|Method|CalibrationMethod|ClassAverage|ResampledMetric)",
    ),
]
