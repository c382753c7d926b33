"""Ensembles: blends of several models, and blend weights fitted on out-of-fold lwlrap."""

from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._fit import BlendFit, fit_blend_weights
from rankaudio.ensemble._members import Method
from rankaudio.ensemble._tables import StackedTables, blend_tables, stack_tables

__all__ = [
    "BlendFit",
    "Method",
    "StackedTables",
    "blend",
    "blend_tables",
    "fit_blend_weights",
    "stack_tables",
]
