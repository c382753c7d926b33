"""Effects against the SoX program, which defines them."""

import itertools
import shutil
import subprocess

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from rankaudio.effects import overdrive, reverb, speed

pytestmark = pytest.mark.skipif(shutil.which("sox") is None, reason="needs the sox program (package sox)")

CORNERS = [*itertools.product((0, 100), (0, 100), (0, 100), (0, 100))]
BETWEEN = [
    (50, 50, 100, 49),
    (25, 50, 10, 49),
    (49, 50, 49, 7),
    (10, 90, 70, 100),
    (75, 20, 33, 1),
    (90, 0, 60, 25),
    (5, 5, 5, 5),
    (33, 66, 99, 0),
    (60, 40, 20, 80),
    (80, 70, 90, 50),
    (99, 1, 50, 0),
    (1, 99, 50, 99),
    (49, 50, 49, 49),
    (0, 50, 49, 10),
]


@pytest.fixture
def sox(tmp_path):
    """Return a function that runs the program; its result is ``(T,)`` or ``(T, channels)``."""

    def run(samples: torch.Tensor, *effect: object, rate: int = 44100, channels: int = 1) -> np.ndarray:
        wavfile.write(tmp_path / "in.wav", rate, samples.numpy())
        form = ["-e", "floating-point", "-b", "32", "-c", str(channels)]
        files = [str(tmp_path / "in.wav"), *form, str(tmp_path / "out.wav")]
        subprocess.run(["sox", "-V1", "-D", *files, *map(str, effect)], check=True)
        return wavfile.read(tmp_path / "out.wav")[1].astype(np.float64)

    return run


def noise(samples: int, level: float = 0.02) -> torch.Tensor:
    return level * torch.randn(samples, generator=torch.Generator().manual_seed(0))


def difference(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """Return the largest difference from the program's result, or from the mean of its two channels."""
    mono = theirs if theirs.ndim == 1 else theirs.mean(1)
    assert ours.shape == mono.shape
    return float(np.abs(ours.numpy() - mono).max())


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("setting", CORNERS + BETWEEN, ids=str)
def test_reverb_is_that_of_sox(sox, setting, channels):
    """If one channel is requested, the program takes the mean of its two channels."""
    reverberance, damping, room_scale, stereo_depth = setting
    clip = noise(8000)
    theirs = sox(
        clip, "reverb", reverberance, damping, room_scale, stereo_depth, rate=8000, channels=channels
    )
    if stereo_depth == 100 and channels == 2:
        assert not np.array_equal(theirs[:, 0], theirs[:, 1])
    ours, _ = reverb(
        clip[None],
        reverberance=reverberance,
        damping=damping,
        room_scale=room_scale,
        stereo_depth=stereo_depth,
        sample_rate=8000,
    )
    assert difference(ours[0], theirs) < 1e-6


@pytest.mark.parametrize("pre_delay", [0, 1.3, 500])
@pytest.mark.parametrize("wet_gain", [-10, 6])
def test_pre_delay_and_wet_gain_are_those_of_sox(sox, pre_delay, wet_gain):
    clip = noise(40000)
    ours, _ = reverb(clip[None], pre_delay=pre_delay, wet_gain=wet_gain, stereo_depth=49, room_scale=30)
    assert difference(ours[0], sox(clip, "reverb", 50, 50, 30, 49, pre_delay, wet_gain)) < 1e-6


def test_each_clip_of_a_batch_has_its_own_room(sox):
    clips = torch.stack([noise(8000), noise(8000).flip(0), noise(8000)])
    rooms = torch.tensor([[10, 80, 30, 0], [70, 10, 90, 40], [49, 50, 0, 100]])
    names = ("reverberance", "damping", "room_scale", "stereo_depth")
    ours, _ = reverb(clips, **dict(zip(names, rooms.T, strict=True)), sample_rate=8000)
    for clip, room, wet in zip(clips, rooms.tolist(), ours, strict=True):
        assert difference(wet, sox(clip, "reverb", *room, rate=8000)) < 1e-6


# Without 0 dB, because the program then skips the effect.
@pytest.mark.parametrize("decibels", [1, 2, 9, 20, 60])
@pytest.mark.parametrize("colour", [0, 20, 100])
@pytest.mark.parametrize("level", [0.01, 0.3, 0.95])
def test_overdrive_is_that_of_sox(sox, decibels, colour, level):
    clip = noise(8000, level).clamp(-0.999, 0.999)
    ours, _ = overdrive(clip[None], decibels=decibels, colour=colour)
    assert difference(ours[0], sox(clip, "overdrive", decibels, colour)) < 1e-6


@pytest.mark.parametrize("factor", [0.9, 0.9713, 1.0, 1.037, 1.1])
@pytest.mark.parametrize("samples", [20000, 20001, 999])
def test_speed_is_that_of_sox(sox, factor, samples):
    """Lengths are equal. Samples are equal below 15 kHz, except at the ends, where the filters differ."""
    time = torch.arange(samples) / 44100
    clip = sum(0.1 * torch.sin(2 * torch.pi * hz * time + hz) for hz in (100, 1000, 5000, 11000, 15000))
    ours, lengths = speed(clip[None], factor=factor)
    theirs = sox(clip, "speed", factor)
    assert lengths.tolist() == [len(theirs)]
    inner = slice(1000, -1000) if samples > 9000 else slice(400, -400)
    assert np.abs(ours[0].numpy() - theirs)[inner].max() < 5e-4
