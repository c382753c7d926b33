"""Metrics for multi-label scores, exact with ties."""

from rankaudio.metrics._f1 import F1, ClassF1, f1
from rankaudio.metrics._lwlrap import Average, ClassLwlrap, Lwlrap, lwlrap

__all__ = ["F1", "Average", "ClassF1", "ClassLwlrap", "Lwlrap", "f1", "lwlrap"]
