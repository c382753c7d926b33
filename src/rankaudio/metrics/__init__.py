"""Metrics for multi-label scores, exact with ties, and intervals of them."""

from rankaudio.metrics._average_precision import (
    AveragePrecision,
    ClassAveragePrecision,
    average_precision,
)
from rankaudio.metrics._f1 import F1, ClassF1, f1
from rankaudio.metrics._inputs import ClassAverage
from rankaudio.metrics._intervals import Interval, PairedTest, ResampledMetric, bootstrap, paired_test
from rankaudio.metrics._lwlrap import Average, ClassLwlrap, Lwlrap, lwlrap
from rankaudio.metrics._roc import ClassRoc, d_prime, roc_auc

__all__ = [
    "F1",
    "Average",
    "AveragePrecision",
    "ClassAverage",
    "ClassAveragePrecision",
    "ClassF1",
    "ClassLwlrap",
    "ClassRoc",
    "Interval",
    "Lwlrap",
    "PairedTest",
    "ResampledMetric",
    "average_precision",
    "bootstrap",
    "d_prime",
    "f1",
    "lwlrap",
    "paired_test",
    "roc_auc",
]
