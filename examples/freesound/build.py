"""From the settings of a model to the objects that train it.

A new network of ``rankaudio.backbones.NETWORKS`` needs no line here. A new loss, schedule or kind of batch
is a new entry in a table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from freesound.averaging import Average, AverageOfLast, ExponentialAverage
from freesound.batches import build_batches
from freesound.chains import disable_augmentation, spectrogram_chain, waveform_chain
from freesound.criteria import build_criterion
from freesound.data import BatchSampler, Split
from freesound.distributed import Group
from freesound.plans.base import Member, Network, Optim, Sound
from freesound.schedule import Milestones, OneCycle, Plateau
from freesound.system import Schedule
from rankaudio import Tagger, predict
from rankaudio.backbones import NETWORKS
from rankaudio.inference import SegmentedTagger, WindowedTagger
from rankaudio.spectral import FRONTENDS

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    # One kernel for all parameters: a step takes a quarter of the time on a CPU.
    "amsgrad": partial(torch.optim.Adam, amsgrad=True, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "nadam": partial(torch.optim.NAdam, eps=1e-7, momentum_decay=0.004),
}
SCHEDULES: dict[str, Callable[[Optim, Optimizer, int], Schedule]] = {
    "cycle": lambda optim, optimizer, steps: OneCycle(optimizer, steps, low=optim.lr_min, high=optim.lr_max),
    "plateau": lambda optim, optimizer, _: Plateau(
        optimizer, rate=optim.lr_max, patience=optim.patience, factor=optim.factor
    ),
    "milestones": lambda optim, optimizer, _: Milestones(
        optimizer, rate=optim.lr_max, epochs=optim.milestone_epochs, factor=optim.factor
    ),
}


class MemberSystem:
    """The :class:`freesound.system.System` that the settings of a model describe."""

    def __init__(self, member: Member, classes: Sequence[str]) -> None:
        self.member = member
        torch.manual_seed(member.optim.seed)
        self.tagger = build_tagger(member, classes)
        seconds = member.crops.segment_seconds
        self.on_waveforms = waveform_chain(
            member.augment, sample_rate=member.sound.sample_rate, segment_seconds=seconds
        )
        self.side_inputs_of_clips = seconds is not None
        self.on_spectrograms = spectrogram_chain(member.crops, **_deltas_of(self.tagger))
        self.mix_within_source = member.pools.draws is not None
        self.criterion = build_criterion(member.optim, member.pools)

    def batches(self, split: Split, group: Group) -> BatchSampler:
        """Return the batches of this rank."""
        return build_batches(self.member, split, group)

    def optimizer(self) -> Optimizer:
        """Return the optimiser of all parameters."""
        optim = self.member.optim
        return OPTIMIZERS[optim.optimizer](self.tagger.parameters(), lr=optim.lr_min)

    def schedule(self, optimizer: Optimizer, steps: int) -> Schedule:
        """Return the learning rates of a training of so many steps."""
        return SCHEDULES[self.member.optim.schedule](self.member.optim, optimizer, steps)

    def begin_epoch(self, epoch: int) -> None:
        """Switch augmentation off in the last epochs, if the settings say so."""
        until = self.member.augment.augment_until
        if until is not None and epoch >= until:
            disable_augmentation(self.on_waveforms)
            disable_augmentation(self.on_spectrograms)

    def scores(
        self,
        tagger: Tagger,
        clips: Sequence[Tensor] | Dataset[Any],
        *,
        lengths: Iterable[int] | None = None,
        workers: int = 0,
        progress: Callable[[int, int], None] | None = None,
        on_error: Callable[[int, Exception], None] | None = None,
    ) -> Tensor:
        """Score whole clips, by windows or segments if the model is trained on crops or segments."""
        return score_clips(
            self.member,
            tagger,
            clips,
            lengths=lengths,
            workers=workers,
            progress=progress,
            on_error=on_error,
        )


def score_clips(
    member: Member,
    tagger: Tagger,
    clips: Sequence[Tensor] | Dataset[Any],
    *,
    lengths: Iterable[int] | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[int, Exception], None] | None = None,
) -> Tensor:
    """Return raw scores of clips, as the settings have it; arguments as in :func:`rankaudio.predict`."""
    sizes, scorer = None if lengths is None else list(lengths), build_scorer(member, tagger)
    return predict(scorer, clips, lengths=sizes, workers=workers, progress=progress, on_error=on_error)


def build_scorer(member: Member, tagger: Tagger) -> Tagger | WindowedTagger | SegmentedTagger:
    """Return what scores whole clips: the tagger, or its mean over windows or segments as in training."""
    crops = member.crops
    if crops.segment_seconds is not None:
        return SegmentedTagger(tagger, seconds=crops.segment_seconds)
    if crops.crop_frames is None:
        return tagger
    return WindowedTagger(tagger, window=crops.crop_frames, hop=crops.hop)


def resolved(member: Member) -> Member:
    """Return the same settings with every default of frontend and network written out."""
    sound = replace(
        member.sound, frontend=member.sound.frontend or NETWORKS[member.network.name].default_frontend
    )
    # The default of ref is a number, and other settings of the sound have no number in this place.
    settings = build_frontend(sound).settings() | {"ref": sound.ref}
    names = [field.name for field in fields(Sound) if field.name in settings]
    network = replace(member.network, settings=member.network.all_settings())
    return replace(member, sound=replace(sound, **{name: settings[name] for name in names}), network=network)


def build_tagger(member: Member, classes: Sequence[str]) -> Tagger:
    """Return the model: frontend, network, and the weights to start from if there are any."""
    member = resolved(member)
    frontend = build_frontend(member.sound)
    backbone = build_network(
        member.network, n_classes=len(classes), n_bins=frontend.n_bins, deltas=member.sound.deltas
    )
    tagger = Tagger(frontend, backbone, classes=classes)
    if member.network.start_from is not None:
        load_weights(tagger, Path(member.network.start_from))
    return tagger


def build_frontend(sound: Sound) -> nn.Module:
    """Return the frontend, with those settings of the sound that are given and that its class has."""
    cls = FRONTENDS[sound.frontend]
    known = inspect.signature(cls).parameters
    given = {field.name: getattr(sound, field.name) for field in fields(sound) if field.name in known}
    return cls(**{name: value for name, value in given.items() if value is not None})


def build_network(network: Network, *, n_classes: int, n_bins: int, deltas: int | None = None) -> nn.Module:
    """Return the network, with ``n_bins`` and channels for derivatives if its class wants to know."""
    cls = NETWORKS[network.name]
    known = inspect.signature(cls).parameters
    given = {"n_bins": n_bins} if "n_bins" in known else {}
    if deltas is not None and "delta_width" in known:
        given["in_channels"] = 1 + deltas
    elif deltas:
        raise ValueError(f"deltas: wanted 0 for {network.name}, which takes no channels, got {deltas}")
    return cls(n_classes, **given, **network.settings)


def _deltas_of(tagger: Tagger) -> dict[str, Any]:
    """Return width and highest order of the derivatives that the network has as channels."""
    backbone = tagger.backbone
    width = getattr(backbone, "delta_width", None)
    return {} if width is None else {"delta_width": width, "orders": backbone.in_channels - 1}


def load_weights(tagger: Tagger, path: Path) -> None:
    """Start from a file of ``Tagger.save``; rows of the classifier are matched by the names of classes."""
    other = Tagger.load(path)
    other.set_decisions()  # thresholds and calibration are those of the other training
    for name in ("frontend", "backbone"):
        wanted, got = (_shape_of(getattr(which, name)) for which in (tagger, other))
        if wanted != got:
            differ = sorted({key for key, _ in wanted.items() ^ got.items()})
            raise ValueError(
                f"--start-from: wanted a {name} with {_listed(wanted, differ)}, "
                f"got one with {_listed(got, differ)} in {path}"
            )
    state, last = other.state_dict(), f"backbone.classifier.{len(tagger.backbone.classifier) - 1}"
    known = {name: row for row, name in enumerate(other.classes)}
    for end in ("weight", "bias"):
        values = tagger.state_dict()[f"{last}.{end}"].clone()
        for row, name in enumerate(tagger.classes):
            if name in known:
                values[row] = state[f"{last}.{end}"][known[name]]
        state[f"{last}.{end}"] = values
    tagger.load_state_dict(state)


def _shape_of(module: nn.Module) -> dict[str, Any]:
    """Return the settings that decide which tensors fit and what they mean."""
    free = ("n_classes", "dropout", "pool_first")
    return {"type": type(module).__name__} | {k: v for k, v in module.settings().items() if k not in free}


def _listed(settings: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {settings.get(key)}" for key in keys)


def build_average(optim: Optim, model: nn.Module, group: Group) -> Average | None:
    """Return the average of weights that the settings ask for."""
    if optim.average == "ema":
        return ExponentialAverage(model, decay=optim.average_decay, group=group)
    return AverageOfLast(epochs=optim.average_last) if optim.average == "last" else None
