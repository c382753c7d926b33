"""Names of parameters in the original program of the third place, and ours."""

from __future__ import annotations

import re

# From the parameter names of the original program to ours. The first pattern that matches is used.
_REFERENCE_NAMES = [
    (r"conv_modules\.(\d+)\.0\.", r"blocks.\1.norm_in."),
    (r"conv_modules\.(\d+)\.1\.", r"blocks.\1.conv."),
    (r"conv_modules\.(\d+)\.3\.", r"blocks.\1.norm."),
    (r"conv_modules\.(\d+)\.4\.", r"blocks.\1.act."),
    (r"conv_modules\.(\d+)\.5\.conv", r"blocks.\1.residual.conv"),
    (r"conv_modules\.(\d+)\.5\.bn", r"blocks.\1.residual.norm"),
    (r"conv_modules\.(\d+)\.5\.prelu", r"blocks.\1.residual.act"),
    (r"rnns\.(\d+)\.0\.", r"aggregates.\1.norm."),
    (r"rnns\.(\d+)\.1\.(\w+)_reverse$", r"aggregates.\1.backwards.\2"),
    (r"rnns\.(\d+)\.1\.", r"aggregates.\1.forwards."),
    (r"output_transform\.", r"classifier."),
]


def from_reference(key: str) -> str:
    """Return our name of a parameter of the original program; other names stay as they are."""
    key = key.removeprefix("module.")
    for pattern, ours in _REFERENCE_NAMES:
        renamed, found = re.subn(f"^{pattern}", ours, key)
        if found:
            return renamed
    return key
