"""A model, a run of two folds and a folder of sounds for tests of the command line."""

from pathlib import Path

import numpy as np
import torch
from scipy.io import wavfile

from rankaudio import Tagger
from small_networks import used_tagger

RATE = 8000
CLASSES = ("Bark", "Meow", "Purr")
NAMES = ("a.wav", "b, c.wav", "deep/d.wav", "e.wav")


def write_sounds(folder: Path) -> None:
    """Write four WAV files of different lengths, one with a comma in its name and one in a sub-folder."""
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        samples = 3000 * (0.3 + number) / 4 * rng.standard_normal(3000 + 1700 * number)
        wavfile.write(folder / name, RATE, samples.astype(np.int16))


def write_models(folder: Path) -> list[Tagger]:
    """Write ``model.pt`` and a run with two folds, whose first fold is that model; return both taggers."""
    taggers = [used_tagger("CNN2d, max", CLASSES), used_tagger("CNN2d, max", CLASSES)]
    torch.manual_seed(1)
    torch.nn.init.normal_(taggers[1].backbone.classifier[-1].weight)
    taggers[0].save(folder / "model.pt")
    for fold, tagger in enumerate(taggers):
        (folder / "run" / f"fold_{fold}").mkdir(parents=True)
        tagger.save(folder / "run" / f"fold_{fold}" / "model.pt")
    return taggers


def write_labels_of_sounds(path: Path) -> None:
    """Write a table of labels whose names lack the suffix, and one the folder."""
    path.write_text('fname,labels\na,Bark\n"b, c","Meow,Purr"\nd,Purr\ne,Bark\n')
