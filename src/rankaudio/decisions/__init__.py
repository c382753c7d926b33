"""From scores to decisions: a threshold for each class, and scores turned into probabilities."""

from rankaudio.decisions._calibration import Calibration
from rankaudio.decisions._calibration_fit import CalibrationFit, CalibrationMethod, fit_calibration
from rankaudio.decisions._thresholds import ThresholdFit, fit_thresholds

__all__ = [
    "Calibration",
    "CalibrationFit",
    "CalibrationMethod",
    "ThresholdFit",
    "fit_calibration",
    "fit_thresholds",
]
