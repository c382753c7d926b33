"""Tools for noisy labels: agreement with a model's scores, thresholds, new labels, and their quality."""

from rankaudio.noisy._agreement import label_agreement, label_margin, select_agreeing
from rankaudio.noisy._quality import LabelQuality, label_quality
from rankaudio.noisy._relabel import RelabelMode, relabel
from rankaudio.noisy._threshold import calibrate_scores, label_threshold

__all__ = [
    "LabelQuality",
    "RelabelMode",
    "calibrate_scores",
    "label_agreement",
    "label_margin",
    "label_quality",
    "label_threshold",
    "relabel",
    "select_agreeing",
]
