"""Metrics for multi-label scores, exact with ties."""

from rankaudio.metrics._lwlrap import Average, ClassLwlrap, Lwlrap, lwlrap

__all__ = ["Average", "ClassLwlrap", "Lwlrap", "lwlrap"]
