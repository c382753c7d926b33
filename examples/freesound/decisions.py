"""Thresholds and probabilities of a trained model, fitted on the clips that are held out."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from rankaudio import Tagger
from rankaudio.decisions import fit_calibration, fit_thresholds


def save_with_decisions(tagger: Tagger, path: Path, scores: Tensor | None, target: Tensor) -> None:
    """Save a tagger with the thresholds of the best F1 and a calibration, if there are finite scores.

    The tagger in memory keeps neither, because its state is the state of training.
    """
    if scores is not None and bool(scores.isfinite().all()):
        tagger.set_decisions(
            thresholds=fit_thresholds(scores, target).thresholds,
            calibration=fit_calibration(scores, target).calibration,
        )
    tagger.save(path)
    tagger.set_decisions()
