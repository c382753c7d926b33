"""Ensembles: blends of several models with fitted weights, and stacking, a second level of models."""

from rankaudio.ensemble._blend import blend
from rankaudio.ensemble._fit import BlendFit, fit_blend_weights
from rankaudio.ensemble._linear_stacking import LinearStacking
from rankaudio.ensemble._linear_stacking_fit import fit_linear_stacking
from rankaudio.ensemble._members import Method
from rankaudio.ensemble._second_level import SecondLevelNetwork
from rankaudio.ensemble._second_level_fit import fit_second_level
from rankaudio.ensemble._second_level_folds import SecondLevelFit
from rankaudio.ensemble._second_level_search import SecondLevelSearch, SecondLevelTrial, search_second_level
from rankaudio.ensemble._tables import StackedTables, blend_tables, stack_tables
from rankaudio.ensemble._window_mean import WindowMean

__all__ = [
    "BlendFit",
    "LinearStacking",
    "Method",
    "SecondLevelFit",
    "SecondLevelNetwork",
    "SecondLevelSearch",
    "SecondLevelTrial",
    "StackedTables",
    "WindowMean",
    "blend",
    "blend_tables",
    "fit_blend_weights",
    "fit_linear_stacking",
    "fit_second_level",
    "search_second_level",
    "stack_tables",
]
