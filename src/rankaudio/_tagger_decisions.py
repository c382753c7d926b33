"""What a tagger keeps for its decisions: thresholds, and a calibration of its scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_instance, check_shape, check_values, describe
from rankaudio.decisions import Calibration


class TaggerDecisions(nn.Module):
    """The part of :class:`rankaudio.tagger.Tagger` that comes after the scores."""

    backbone: nn.Module
    thresholds: Tensor | None
    calibration: Calibration | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("thresholds", None)
        self.register_module("calibration", None)

    def set_decisions(
        self, *, thresholds: Tensor | None = None, calibration: Calibration | None = None
    ) -> None:
        """Keep thresholds and a calibration, which :meth:`decide` and :meth:`probabilities` use.

        Both are replaced, and None removes. They are kept as float32 copies, move with the tagger, and are
        saved in its file. Thresholds are rounded up, so decisions on float32 scores are those of the fit.
        :meth:`reset_classifier` removes both.

        Args:
            thresholds: ``(C,)`` floating point, as :func:`rankaudio.decisions.fit_thresholds` returns them.
            calibration: a :class:`rankaudio.decisions.Calibration` of C classes.

        Raises:
            TypeError: if thresholds are not floating point, or ``calibration`` is another object.
            ValueError: if the number of classes is not C, or a threshold is NaN. The tagger is not changed
                then.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"])
        >>> tagger.set_decisions(thresholds=torch.tensor([0.5, -1.0]))
        >>> tagger.decide(torch.tensor([[0.7, -2.0]]))
        tensor([[ True, False]])
        """
        classes = self._count_classes()
        device = next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
        if thresholds is not None:
            check_floating("thresholds", thresholds, ndim=(1,))
            check_shape("thresholds", thresholds, (classes or len(thresholds),))
            check_values("thresholds", thresholds, ~thresholds.isnan(), "numbers")
            thresholds = _rounded_up(thresholds.detach()).to(device)
        if calibration is not None:
            check_instance("calibration", calibration, Calibration)
            if calibration.n_classes != (classes or calibration.n_classes):
                raise ValueError(f"calibration: wanted {classes} classes, got {calibration!r}")
            calibration = Calibration(calibration.scale.float(), calibration.shift.float()).to(device)
        self.thresholds, self.calibration = thresholds, calibration

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return the probabilities that the calibration gives to scores of this tagger.

        Args:
            scores: ``(*, C)`` floating point, on any device, such as the result of
                :func:`rankaudio.predict`.

        Returns:
            ``(*, C)`` on the device of the scores, as :class:`rankaudio.decisions.Calibration` defines them.

        Raises:
            TypeError: if scores are not floating point.
            ValueError: if the tagger has no calibration, or scores have another number of classes.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"])
        >>> tagger.set_decisions(
        ...     calibration=Calibration(torch.ones(2), torch.tensor([0.0, 2.0]))
        ... )
        >>> tagger.probabilities(torch.tensor([[0.0, 0.0]]))
        tensor([[0.5000, 0.8808]])
        """
        if self.calibration is None:
            raise ValueError(
                "calibration: wanted one, got None; rankaudio.decisions.fit_calibration finds it, and "
                "set_decisions keeps it"
            )
        probabilities: Tensor = self.calibration(scores)
        return probabilities

    def decide(self, scores: Tensor) -> Tensor:
        """Return which classes are present: true where the score is at least the class's threshold.

        Args:
            scores: ``(*, C)`` floating point, on any device, such as the result of
                :func:`rankaudio.predict`. They must be of the kind that the thresholds were fitted on.

        Returns:
            ``(*, C)`` bool on the device of the scores. NaN is not present.

        Raises:
            TypeError: if scores are not floating point.
            ValueError: if the tagger has no thresholds, or scores have another number of classes.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"]).eval()
        >>> tagger.set_decisions(thresholds=torch.tensor([0.0, torch.inf]))
        >>> tagger.decide(predict(tagger, [torch.randn(44100)])).shape
        torch.Size([1, 2])
        """
        if self.thresholds is None:
            raise ValueError(
                "thresholds: wanted a tensor (C,), got None; rankaudio.decisions.fit_thresholds finds them, "
                "and set_decisions keeps them"
            )
        check_floating("scores", scores)
        if scores.shape[-1:] != self.thresholds.shape:
            raise ValueError(f"scores: wanted {len(self.thresholds)} classes, got {describe(scores)}")
        return scores >= self.thresholds.to(scores.device)

    def _count_classes(self) -> int:
        """Return the number of classes, or 0 if nothing tells it."""
        return len(getattr(self, "classes", ())) or getattr(self.backbone, "n_classes", 0)


def _rounded_up(thresholds: Tensor) -> Tensor:
    """Return the least float32 numbers that are not below: float32 scores are compared with them alike."""
    rounded = thresholds.float()
    above = torch.nextafter(rounded, torch.full_like(rounded, torch.inf))
    return torch.where(rounded < thresholds, above, rounded)
