"""Labels that may be wrong: which of them a model agrees with, and which it would give instead."""

from rankaudio.noisy._labels import LabelQuality, RelabelMode, label_quality, relabel
from rankaudio.noisy._scores import (
    calibrate_scores,
    label_agreement,
    label_margin,
    label_threshold,
    select_agreeing,
)

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
