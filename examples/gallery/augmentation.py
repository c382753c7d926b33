"""Augmented clips, to listen to and to look at.

A clip that is played faster, in a room or through an overdriven amplifier is a new clip
for the model, with the same labels. [Effects](../effects.md) and [masking, cutting and
mixing](../augmentation.md) have the formulas. This page has the sounds.
"""

# %%
# There are two clips, a bird and a drum. A low sample rate keeps the files small.

import math

import matplotlib.pyplot as plt
import torch
from scipy.io import wavfile
from torch import Tensor

from rankaudio import (
    log_mel,
    or_mixup,
    overdrive,
    pad_collate,
    pitch_shift,
    reverb,
    shuffle_chunks,
    spec_augment,
    speed,
)

RATE = 22_050


def bird(seconds: float = 1.6) -> Tensor:
    """Make falling calls, each a little lower than the last one, and a little noise."""
    t = torch.arange(round(seconds * RATE)) / RATE
    call = (-(t % 0.4) / 0.08).exp()
    frequency = (1500 + 2200 * call) * (1.15 - 0.2 * t)
    phase = 2 * math.pi * (frequency / RATE).cumsum(0)
    tone = phase.sin() + 0.3 * (2 * phase).sin()
    return 0.5 * call * tone + 0.001 * torch.randn(len(t))


def drum(seconds: float = 0.8) -> Tensor:
    """Make two strokes on a drum whose pitch falls."""
    t = torch.arange(round(seconds * RATE)) / RATE
    stroke = (-(t % 0.4) / 0.1).exp()
    return 0.7 * stroke * (2 * math.pi * (90 * (1 + 2 * stroke) / RATE).cumsum(0)).sin()


torch.manual_seed(0)
clips, _, lengths = pad_collate([bird(), drum()])
labels = torch.eye(2)  # a bird; a drum

# %%
# Every function takes a batch of clips and their lengths. A parameter is one number for
# all clips, or one for each clip. Modules draw the parameters of each clip, for example
# `PitchShift(p=0.5, cents=(-300, 300))`.

mixed, mixed_labels, _ = or_mixup(clips, labels, lengths, p=1.0)
versions = {
    "bird": (clips, lengths),
    "reverb": reverb(
        clips, lengths, reverberance=60.0, room_scale=70.0, sample_rate=RATE
    ),
    "pitch_shift": pitch_shift(clips, lengths, cents=-300.0, n_fft=768),
    "speed": speed(clips, lengths, factor=1.2),
    "overdrive": overdrive(clips, lengths, decibels=18.0),
    "shuffle_chunks": shuffle_chunks(clips, lengths, chunk_length=RATE // 5, p=1.0),
    "or_mixup": (mixed, lengths),
}
print("labels of the mixture:", mixed_labels[0].tolist())
for name, (changed, new_lengths) in versions.items():
    clip = changed[0, : new_lengths[0]].clamp(-1, 1)
    print(f"{name:15} {len(clip) / RATE:.2f} s, peak {clip.abs().max():.2f}")
    wavfile.write(f"{name}.wav", RATE, (32_767 * clip).short().numpy())

# %%
# These are the spectrograms of all versions. The last one has masks, so it has no
# sound.

settings = {"sample_rate": RATE, "n_fft": 1024, "hop_length": 256}
mels = {name: log_mel(clips[:1], **settings) for name, (clips, _) in versions.items()}
mels["spec_augment"] = spec_augment(mels["bird"], p=1.0)[0]
alt = "Falling calls, and versions: blurred, lower, shorter, richer, shuffled, masked"
figure, axes = plt.subplots(
    2, 4, num=alt, figsize=(7.5, 3.8), sharey=True, layout="constrained"
)
for axis, (name, mel) in zip(axes.flat, mels.items(), strict=True):
    extent = (0, mel.shape[2] * 256 / RATE, 0, 128)
    axis.imshow(
        mel[0].numpy(), origin="lower", aspect="auto", cmap="magma", extent=extent
    )
    axis.set(title=name, xlim=(0, 1.6))
figure.supylabel("mel band", size="medium")
figure.supxlabel("seconds", size="medium")
figure.savefig("augmentation.png")
