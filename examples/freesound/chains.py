"""What is done to the waveforms and spectrograms of a training batch, from the settings of a model."""

from __future__ import annotations

from torch import Tensor

from freesound.plans.base import Augment, Crops
from rankaudio import (
    Augmentation,
    Chain,
    Mixer,
    ORMixup,
    PadOrCrop,
    RandomMixer,
    RandomResizedCrop,
    ShuffleChunks,
    SigmoidConcatMixup,
    SpecAugment,
    ThirdPlaceEffects,
    WeightedMixup,
)
from rankaudio.augmentation import Draw
from rankaudio.masking import CutSegment
from rankaudio.spectral import DeltaChannels

# Parts that are no augmentation: the network is trained on what they make.
ALWAYS = ("crop", "deltas", "segment")


class FixedCrop(PadOrCrop):
    """A crop whose result fills every row, so later parts need no lengths and no masks."""

    def replay(self, clips: Tensor, draw: Draw, lengths: Tensor | None = None) -> tuple[Tensor, None]:
        """Apply what ``draw`` returned."""
        return super().replay(clips, draw, lengths)[0], None


class FullSegment(CutSegment):
    """A segment of the waveform that fills every row; zeros in it are signal, so there are no lengths."""

    def replay(self, clips: Tensor, draw: Draw, lengths: Tensor | None = None) -> tuple[Tensor, None]:
        """Apply what ``draw`` returned."""
        return super().replay(clips, draw, lengths)[0], None


def waveform_chain(augment: Augment, *, sample_rate: int, segment_seconds: float | None = None) -> Chain:
    """Return segment and mixup of the second-place system, then the parts of the third-place system.

    Those are OR-mixup, effects and chunk shuffle. Each part has its probability.
    """
    parts: dict[str, Augmentation | Mixer] = {}
    if segment_seconds is not None:
        parts["segment"] = FullSegment(size=round(segment_seconds * sample_rate))
    if augment.weighted_mixup:
        parts["weighted_mixup"] = WeightedMixup(p=augment.weighted_mixup, alpha=augment.mixup_weight)
    parts["mixup"] = ORMixup(p=augment.mixup)
    parts["effects"] = ThirdPlaceEffects(p=augment.effects, sample_rate=sample_rate)
    parts["shuffle"] = ShuffleChunks(chunk_length=sample_rate // 2, p=augment.shuffle)
    return Chain(parts)


def spectrogram_chain(crops: Crops, *, delta_width: int | None = None, orders: int = 0) -> Chain:
    """Return crops, masks, derivatives and mixers of the first-place system.

    Args:
        crops: the settings; without any, the chain is empty.
        delta_width: width of the windows for derivatives, if the network takes them as channels.
        orders: highest derivative.
    """
    parts: dict[str, Augmentation | Mixer] = {}
    if crops.crop_frames is not None:
        parts["crop"] = FixedCrop(size=crops.crop_frames, fill="minimum", wrap=crops.wrap)
    if crops.resize:
        ratio = (crops.ratio_low, crops.ratio_high)
        parts["resize"] = RandomResizedCrop(p=crops.resize, scale=(crops.area_low, 1.0), ratio=ratio)
    if crops.spec_augment:
        parts["masks"] = SpecAugment(p=crops.spec_augment)
    # The weights of a mixer change over time, so derivatives come before it. Otherwise the network adds them.
    if crops.mixers and delta_width is not None and orders:
        parts["deltas"] = DeltaChannels(width=delta_width, orders=orders)
    if crops.mixers:
        concat, weighted = SigmoidConcatMixup(p=1.0), WeightedMixup(p=1.0, alpha=(0.0, 0.5))
        mixers = [(concat, crops.concat_share), (weighted, 1 - crops.concat_share)]
        parts["mixer"] = RandomMixer(mixers, p=crops.mixers)
    return Chain(parts)


def disable_augmentation(chain: Chain) -> None:
    """Switch all parts off that change a clip at random; crops stay."""
    names = [name for name in chain.names if name not in ALWAYS]
    if names:
        chain.disable(*names)
