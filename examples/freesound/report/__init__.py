"""A page about a run: curves, classes, confusions, clips to listen to, noisy clips taken.

One HTML file that needs nothing else. :func:`write_report` makes it from tables; ``freesound.report.data``
finds the tables of a run folder.
"""

from freesound.report.data import Fold, Part, Selection, Training
from freesound.report.page import write_report

__all__ = ["Fold", "Part", "Selection", "Training", "write_report"]
