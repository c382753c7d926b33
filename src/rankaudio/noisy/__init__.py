"""Labels that may be wrong: which of them a model agrees with, and which it would give instead."""

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
