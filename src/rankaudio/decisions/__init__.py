"""From scores to decisions: learnt heads that say which labels are present."""

from rankaudio.decisions._label_decision import CountHead, ThresholdHead

__all__ = ["CountHead", "ThresholdHead"]
