"""Inputs and weights of the second-place golden numbers, in the form of our networks."""

import math
import re
from pathlib import Path

import numpy as np
import torch

from rankaudio import log_mel, power_to_db

GOLDEN = Path(__file__).parent.parent / "golden"
SEGMENT = 220_500
# From the names in the golden files to ours. Every pattern is applied, in this order.
NAMES = [
    (r"^global\.", "statistics_gru."),
    (r"gru(\d)\.forward\.(\w+)$", r"layers.\1.\2_l0"),
    (r"gru(\d)\.backward\.(\w+)$", r"layers.\1.\2_l0_reverse"),
    (r"^stem\.norm\.", "first.activate.norm."),
    (r"^stem\.se\.", "first.activate.excite."),
    (r"^stem\.conv\.", "first.convs.0."),
    (r"^stem\.conv(\d)\.", r"first.convs.s\1."),
    (r"^block(\d)\.", r"blocks.\1."),
    (r"\bnorm(\d)\.", r"activate\1.norm."),
    (r"\bse(\d)\.", r"activate\1.excite."),
    (r"\bfc1\.", "reduce."),
    (r"\bfc2\.", "expand."),
    (r"^classifier\.", "classifier.0."),
]


def our_name(name: str) -> str:
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    name = re.sub(r"convs\.s(\d)", lambda found: f"convs.{(int(found[1]) - 3) // 2}", name)
    return re.sub(r"\b(blocks|layers)\.(\d)", lambda found: f"{found[1]}.{int(found[2]) - 1}", name)


def golden_state(golden, prefix=""):
    """Return the weights under a prefix, with our names. The file has all weights in a row."""
    state, begin = {}, 0
    for key, padded in zip(golden["state_keys"].tolist(), golden["state_shapes"].tolist(), strict=True):
        shape = [size for size in padded if size]
        values = golden["state"][begin : begin + math.prod(shape)].reshape(shape)
        begin += values.size
        if key.startswith(prefix):
            state[our_name(key.removeprefix(prefix))] = torch.from_numpy(values)
    return state


def load(module, state):
    """Load weights into a module. Only the counters of batches may be missing."""
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return module


def clips():
    """Return the three clips of the networks' input, each with its own length."""
    waves = np.load(GOLDEN / "model_waveforms.npz")
    signal = torch.from_numpy(np.load(GOLDEN / "features_mel.npz")["signal"]).double().flatten()
    return [signal, *(torch.from_numpy(waves["waveforms"][:2]).double() * float(waves["scale"]))]


def spectrograms():
    """Place the clips at the start, the middle and the end of 5 s, and return decibels below the maximum."""
    frames = []
    for clip, share in zip(clips(), (0.0, 0.5, 1.0), strict=True):
        before = int(share * (SEGMENT - len(clip)))
        # Frame j begins at sample 512 j - 342. Our frames are centred, so one frame is dropped.
        wave = torch.nn.functional.pad(clip, (342 + before, SEGMENT - len(clip) - before + 342))
        mel = log_mel(
            wave[None],
            power=2.0,
            eps=None,
            n_fft=1024,
            hop_length=512,
            n_mels=64,
            f_min=0.0,
            pad_mode="constant",
        )
        db = power_to_db(mel[..., 1:432], top_db=None)
        frames.append((db - db.max()).clamp(min=-80))
    return torch.cat(frames)


def side_inputs():
    """Return statistics of 128 windows of each clip, and its duration in units of 10 s."""
    statistics = torch.stack([torch.from_numpy(window_statistics(clip.numpy())) for clip in clips()])
    return {"statistics": statistics, "duration": torch.tensor([[len(clip) / 441_000] for clip in clips()])}


def window_statistics(wave):
    rows, step = [], len(wave) / 128
    for k in range(128):
        window = wave[max(0, int(k * step - step / 2)) : int(k * step + 1.5 * step)]
        percentiles = np.percentile(window, [0, 1, 25, 30, 50, 60, 75, 99, 100])
        rows.append([window.mean(), window.std(), np.ptp(window), *percentiles])
    return np.array(rows)
