"""From scores to decisions: thresholds, probabilities, and learnt heads that say which labels are present."""

from rankaudio.decisions._calibration import Calibration
from rankaudio.decisions._calibration_fit import CalibrationFit, CalibrationMethod, fit_calibration
from rankaudio.decisions._label_decision import CountHead, ThresholdHead
from rankaudio.decisions._thresholds import ThresholdFit, fit_thresholds

__all__ = [
    "Calibration",
    "CalibrationFit",
    "CalibrationMethod",
    "CountHead",
    "ThresholdFit",
    "ThresholdHead",
    "fit_calibration",
    "fit_thresholds",
]
