"""Trimming of silence: the original's numbers, a slow oracle, and clips that are short, silent or padded."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rankaudio.masking import trim_silence

GOLDEN = np.load(Path(__file__).parent / "golden" / "argus_audio.npz")
CLIPS = ("lead_tail", "short_late", "short_early", "all_short", "none", "full")


def tone(name):
    """A tone of 440 Hz in digital silence, as the original read it."""
    duration, on, off = GOLDEN[f"read_{name}_duration_on_off"]
    time = np.arange(round(duration * 44100)) / 44100
    clip = np.where((time >= on) & (time < off), 0.5 * np.sin(2 * np.pi * 440 * time), 0)
    if name == "lead_tail":
        clip = clip + 1e-5 * np.sin(2 * np.pi * 3000 * time)
    return torch.from_numpy(clip.astype(np.float32))


def batch_of(clips):
    """Pad the clips with NaN, which no result may depend on."""
    lengths = torch.tensor([len(clip) for clip in clips])
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=math.nan), lengths


def oracle(clip, *, top_db, frame, hop, pad_mode, amin=1e-10):
    """First and last sample by librosa's rule, one frame after the other."""
    mode = {"reflect": "reflect", "constant": "constant"}[pad_mode]
    padded = np.pad(clip.astype(np.float64), frame // 2, mode=mode)
    power = [np.mean(padded[j * hop : j * hop + frame] ** 2) for j in range(len(clip) // hop + 1)]
    db = 10 * np.log10(np.maximum(power, amin) / max(*power, amin))
    (loud,) = np.nonzero(db > -top_db)
    return loud[0] * hop, min(len(clip), (loud[-1] + 1) * hop)


def test_what_is_kept_equals_the_original():
    waveform, lengths = batch_of([tone(name) for name in CLIPS])
    trimmed, kept = trim_silence(waveform, lengths)
    for row, name in enumerate(CLIPS):
        first, last = GOLDEN[f"read_{name}_trim"]
        assert kept[row] == last - first
        assert torch.equal(trimmed[row, : kept[row]], waveform[row, first:last])
        assert (trimmed[row, kept[row] :] == 0).all()


def test_the_shortest_length_keeps_the_sound_that_the_original_lost():
    waveform, lengths = batch_of([tone(name) for name in CLIPS])
    trimmed, kept = trim_silence(waveform, lengths, min_length=22050)
    for row, name in enumerate(CLIPS):
        assert kept[row] == GOLDEN[f"read_{name}_samples"]
        energy = tone(name).double().square().sum()
        share = trimmed[row].double().square().sum() / energy if energy > 0 else torch.tensor(0.0)
        theirs = GOLDEN[f"read_{name}_energy_kept"]
        assert share.item() == pytest.approx(1.0 if name == "short_late" else theirs, abs=1e-9)
    assert GOLDEN["read_short_late_energy_kept"] == 0


@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
@pytest.mark.parametrize("min_length", [1, 500])
def test_batches_equal_the_slow_oracle_clip_by_clip(pad_mode, min_length):
    rng = np.random.default_rng(0)
    clips = []
    for length in (3000, 1500, 1024, 700, 65):
        clip = rng.standard_normal(length) * 1e-4
        start, end = sorted(rng.integers(0, length + 1, 2))
        clip[start:end] += rng.standard_normal(end - start)
        clips.append(torch.from_numpy(clip))
    settings = {"frame_length": 128, "hop_length": 32, "top_db": 40.0, "pad_mode": pad_mode}
    waveform, lengths = batch_of(clips)
    trimmed, kept = trim_silence(waveform, lengths, min_length=min_length, **settings)
    for row, clip in enumerate(clips):
        first, last = oracle(clip.numpy(), top_db=40.0, frame=128, hop=32, pad_mode=pad_mode)
        alone, length_alone = trim_silence(clip[None], min_length=min_length, **settings)
        assert kept[row] == length_alone[0]
        assert torch.equal(trimmed[row, : kept[row]], alone[0, : kept[row]])
        sound = clip[first:last]
        if last - first >= min_length:
            assert torch.equal(trimmed[row, : kept[row]], sound)
        else:  # the whole sound is in the window
            assert kept[row] == min_length
            assert any(torch.equal(window, sound) for window in trimmed[row].unfold(0, len(sound), 1))


def test_a_clip_that_is_too_short_is_in_the_middle_of_zeros():
    trimmed, kept = trim_silence(torch.ones(1, 5), min_length=10)
    assert kept.tolist() == [10]
    assert trimmed.tolist() == [[0, 0, 1, 1, 1, 1, 1, 0, 0, 0]]


def test_a_window_is_moved_into_the_clip():
    clip = torch.zeros(1, 4000)
    clip[0, :100] = clip[0, 3990:] = 0
    clip[0, 3900:] = 1
    settings = {"frame_length": 128, "hop_length": 32, "min_length": 1000}
    trimmed, kept = trim_silence(clip, **settings)
    assert kept.tolist() == [1000]
    assert torch.equal(trimmed[0, :1000], clip[0, 3000:])
    trimmed, kept = trim_silence(clip.flip(1), **settings)
    assert torch.equal(trimmed[0, :1000], clip.flip(1)[0, :1000])


def test_silence_and_single_samples_stay_whole():
    for clip in (torch.zeros(2, 3000), torch.ones(2, 1), torch.full((2, 3000), 1e-7)):
        trimmed, kept = trim_silence(clip)
        assert torch.equal(trimmed, clip)
        assert kept.tolist() == [clip.shape[1]] * 2
    assert trim_silence(torch.zeros(0, 30))[0].shape == (0, 30)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_samples_keep_their_dtype_and_the_input_stays_as_it_is(dtype):
    clip = torch.zeros(1, 4096, dtype=dtype)
    clip[0, 2048:3000] = 0.5
    before = clip.clone()
    trimmed, kept = trim_silence(clip)
    assert trimmed.dtype == dtype
    assert trimmed.sum() == clip.sum()
    assert kept[0] < 4096
    assert torch.equal(clip, before)


def test_gradients_reach_the_samples_that_are_kept():
    clip = torch.zeros(1, 8192)
    clip[0, 4096:5000] = 0.5
    clip.requires_grad_()
    trimmed, kept = trim_silence(clip)
    trimmed.sum().backward()
    assert clip.grad.sum() == kept[0]
    assert (clip.grad[0, 4096:5000] == 1).all()


def test_trimming_compiles_into_one_graph():
    torch.compiler.reset()
    waveform, lengths = batch_of([tone("short_late")[:80000], tone("all_short")])

    def trim(clips, ends):
        return trim_silence(clips, ends, min_length=22050)

    compiled = torch.compile(trim, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(waveform, lengths), trim(waveform, lengths))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"top_db": 0}, ValueError, "top_db: wanted a number above 0, got 0"),
        ({"top_db": "60"}, TypeError, "top_db: wanted a number"),
        ({"frame_length": 511}, ValueError, "frame_length: wanted an even integer, got 511"),
        ({"hop_length": 0}, ValueError, "hop_length: wanted an integer >= 1"),
        ({"min_length": 0.5}, TypeError, "min_length: wanted an integer"),
        ({"pad_mode": "wrap"}, ValueError, "pad_mode: wanted one of 'reflect', 'constant'"),
        ({"lengths": torch.tensor([9, 0])}, ValueError, "lengths: wanted values from 1 to 9, got 0"),
    ],
)
def test_bad_input_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        trim_silence(torch.ones(2, 9), **settings)


def test_what_is_top_db_below_the_loudest_frame_is_silence():
    """The rule of librosa has a > there, and all of silence counts as amin."""
    clip = torch.zeros(1, 40)
    clip[:, 16:24] = 1
    _, lengths = trim_silence(clip, top_db=10.0, frame_length=4, hop_length=4, amin=0.1, pad_mode="constant")
    assert lengths.tolist() == [12]
    _, lengths = trim_silence(
        clip, top_db=10.0, frame_length=4, hop_length=4, amin=0.101, pad_mode="constant"
    )
    assert lengths.tolist() == [40]
