"""The decibel mel frontend and derivatives as channels: the original's numbers, and padding."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rankaudio import Chain, deltas, log_mel, power_to_db
from rankaudio.spectral import FRONTENDS, DecibelMel, DeltaChannels, decibel_mel

GOLDEN = Path(__file__).parent / "golden"
SMALL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "n_mels": 12, "f_min": 50.0}


def test_decibels_with_reflection_equal_the_original():
    golden = np.load(GOLDEN / "argus_audio.npz")
    signal = torch.from_numpy(np.load(GOLDEN / "features_mel.npz")["signal"])
    db = DecibelMel()(signal[None])[0]
    theirs = torch.from_numpy(golden["mel_db_reflect_every8th_band"])
    # Decibels of up to 50: the tolerance is 1e-5 of that and a little.
    torch.testing.assert_close(db[::8], theirs, rtol=0, atol=1e-4)
    ends = torch.cat([db[:, :3], db[:, -3:]], dim=1)
    first_last = torch.from_numpy(golden["mel_db_reflect_first_last_frames"])
    torch.testing.assert_close(ends, first_last, rtol=0, atol=1e-4)
    assert [db.min().item(), db.max().item()] == pytest.approx(golden["mel_db_min_max"].tolist(), abs=1e-4)


def test_derivatives_equal_the_original():
    golden = np.load(GOLDEN / "argus_transforms.npz")
    image = torch.from_numpy(golden["delta_image"].astype(np.float32))[None] / 100
    channels, _ = DeltaChannels()(image)
    torch.testing.assert_close(channels[0], torch.from_numpy(golden["delta_out"]), rtol=0, atol=1e-6)
    slopes, _ = DeltaChannels(orders=1)(image)
    assert torch.equal(slopes, channels[:, :2])


@pytest.mark.parametrize("ref", [1.0, 0.01, "max"])
@pytest.mark.parametrize("top_db", [None, 30.0])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_a_clip_has_the_same_decibels_alone_and_in_a_batch(ref, top_db, pad_mode):
    torch.manual_seed(0)
    frontend = DecibelMel(**SMALL, ref=ref, top_db=top_db, scale=0.01, pad_mode=pad_mode)
    waveform, lengths = torch.randn(4, 300).double() * 0.1, torch.tensor([300, 150, 33, 1])
    waveform[0] *= 100
    for row, length in enumerate(lengths):
        waveform[row, length:] = math.nan
    together = frontend(waveform, lengths)
    for row, length in enumerate(lengths.tolist()):
        frames = int(frontend.frame_lengths(lengths[row : row + 1]))
        alone = frontend(waveform[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :, :frames], alone)
        # The padding holds the lowest value that this clip can show.
        assert (together[row, :, frames:] <= alone.min() + 1e-12).all()
    assert together.isfinite().all()


def test_decibels_are_those_of_the_power_relative_to_the_reference():
    waveform = torch.randn(2, 300).double()
    power = log_mel(waveform, **SMALL, power=2.0, eps=None)
    by_hand = 10 * power.clamp(min=1e-10).log10()
    torch.testing.assert_close(decibel_mel(waveform, **SMALL, top_db=None), by_hand)
    relative = by_hand - by_hand.amax((1, 2), keepdim=True)
    torch.testing.assert_close(decibel_mel(waveform, **SMALL, ref="max", scale=0.01), relative / 100)
    expected = power_to_db(power, ref=0.5, amin=1e-3, top_db=20.0)
    ours = decibel_mel(waveform, **SMALL, ref=0.5, amin=1e-3, top_db=20.0)
    torch.testing.assert_close(ours, expected)


def test_silence_is_constant_and_has_a_finite_gradient():
    for ref, level in ((1.0, -100.0), ("max", -80.0)):
        waveform = torch.zeros(1, 300, requires_grad=True)
        db = decibel_mel(waveform, **SMALL, ref=ref)
        assert (db == level).all()
        db.sum().backward()
        assert (waveform.grad == 0).all()


def test_settings_rebuild_the_frontend():
    frontend = DecibelMel(**SMALL, ref="max", top_db=None, scale=0.01, transform="matmul")
    again = FRONTENDS["DecibelMel"](**frontend.settings())
    waveform = torch.randn(2, 300)
    assert torch.equal(again(waveform), frontend(waveform))
    assert repr(again) == repr(frontend)
    assert not {"power", "eps"} & set(frontend.settings())
    assert DecibelMel.from_descriptor("mel_64_32_12", sample_rate=8000).n_bins == 12


def test_derivatives_in_a_chain_are_those_of_each_clip():
    chain = Chain({"deltas": DeltaChannels(width=5)})
    x, target, lengths = torch.randn(3, 6, 20), torch.eye(3), torch.tensor([20, 7, 1])
    channels, _, ends, record = chain.record(x, target, lengths)
    assert torch.equal(channels, deltas(x, lengths, width=5))
    assert ends is lengths
    again, *_ = chain.replay(x, target, record, lengths)
    assert torch.equal(again, channels)
    assert chain.eval()(x, target, lengths)[0] is x


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: DecibelMel(ref="peak"), ValueError, "ref: wanted one of 'max', got 'peak'"),
        (lambda: DecibelMel(ref=-1.0), ValueError, "ref: wanted a finite number >= 0"),
        (lambda: DecibelMel(amin=0), ValueError, "amin: wanted a finite number >= 1e-30"),
        (lambda: DecibelMel(top_db=-1), ValueError, "top_db: wanted a finite number >= 0"),
        (lambda: DecibelMel(scale="1"), TypeError, "scale: wanted a number"),
        (lambda: DecibelMel(n_fft=63), ValueError, "n_fft: wanted an even integer"),
        (lambda: decibel_mel(torch.zeros(2, 300), ref="min"), ValueError, "ref: wanted one of 'max'"),
        (lambda: DeltaChannels(width=4), ValueError, "width: wanted an odd integer, got 4"),
        (lambda: DeltaChannels(orders=3), ValueError, "orders: wanted an integer from 1 to 2, got 3"),
    ],
)
def test_bad_input_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
