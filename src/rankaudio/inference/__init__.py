"""Scores for clips of many lengths, their windows, segments and time steps, long recordings and streams."""

from rankaudio.inference._framewise_tagger import FramewiseTagger
from rankaudio.inference._mean import ScoreMean
from rankaudio.inference._predict import predict
from rankaudio.inference._predict_long import WindowScores, predict_long
from rankaudio.inference._score_stream import score_stream
from rankaudio.inference._segmented_tagger import SegmentedTagger
from rankaudio.inference._stream import Stream, StreamScores
from rankaudio.inference._windowed_tagger import WindowedTagger

__all__ = [
    "FramewiseTagger",
    "ScoreMean",
    "SegmentedTagger",
    "Stream",
    "StreamScores",
    "WindowScores",
    "WindowedTagger",
    "predict",
    "predict_long",
    "score_stream",
]
