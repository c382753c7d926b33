"""Several models, one score: blends, and weights for them fitted on out-of-fold lwlrap."""

from rankaudio.ensemble._blend import StackedTables, blend, blend_tables, stack_tables
from rankaudio.ensemble._fit import BlendFit, fit_blend_weights
from rankaudio.ensemble._members import Method

__all__ = [
    "BlendFit",
    "Method",
    "StackedTables",
    "blend",
    "blend_tables",
    "fit_blend_weights",
    "stack_tables",
]
