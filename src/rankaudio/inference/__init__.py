"""Scores for many clips of many lengths, and for the windows of clips and of long recordings."""

from rankaudio.inference._predict import predict
from rankaudio.inference._predict_long import WindowScores, predict_long
from rankaudio.inference._windowed_tagger import WindowAverage, WindowedTagger

__all__ = ["WindowAverage", "WindowScores", "WindowedTagger", "predict", "predict_long"]
