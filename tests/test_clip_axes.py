"""Augmentations and mixers refuse clips with other axes than theirs, when they draw and when they replay."""

import pytest
import torch

from rankaudio.masking import (
    CutSegment,
    PadOrCrop,
    RandomCrop,
    RandomResizedCrop,
    ShuffleChunks,
    SpecAugment,
    frame_windows,
)
from rankaudio.mixing import ORMixup, RandomMixer, SigmoidConcatMixup, WeightedMixup

ANY, SPECTROGRAMS, WAVEFORMS = ("clips", (2, 3, 4)), ("spectrogram", (3, 4)), ("waveform", (2,))
MODULES = [
    (CutSegment(size=5), ANY), (PadOrCrop(size=5), ANY), (RandomCrop(size=5), ANY),
    (ShuffleChunks(p=1.0), ANY),
    (RandomResizedCrop(p=1.0), SPECTROGRAMS), (SpecAugment(p=1.0), SPECTROGRAMS), (ORMixup(p=1.0), WAVEFORMS),
    (WeightedMixup(p=1.0), ANY), (SigmoidConcatMixup(p=1.0), ANY),
    (RandomMixer([(WeightedMixup(p=1.0), 1.0)]), ANY),
]  # fmt: skip


@pytest.mark.parametrize(("module", "axes"), MODULES, ids=[type(module).__name__ for module, _ in MODULES])
def test_other_axes_are_refused(module, axes):
    name, taken = axes
    target = (torch.ones(2, 3),) if hasattr(module, "mixers") or "mixing" in type(module).__module__ else ()
    good = torch.randn(2, 6, 6, 6)[(slice(None), *(0,) * (4 - taken[-1]))]
    draw = module.draw(good)
    for count in {1, 2, 3, 4, 5} - set(taken):
        bad = torch.randn((2,) + (6,) * (count - 1))
        message = f"{name}: wanted {' or '.join(map(str, taken))} axes.*, got a float32 tensor"
        with pytest.raises(ValueError, match=message):
            module.draw(bad)
        with pytest.raises(ValueError, match=message):
            module.replay(bad, *target, draw)


def test_windows_of_frames_need_a_spectrogram():
    for count in (1, 2, 5):
        with pytest.raises(ValueError, match="spectrogram: wanted 3 or 4 axes"):
            frame_windows(torch.ones((2,) + (6,) * (count - 1)))
