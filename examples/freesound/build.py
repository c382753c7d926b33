"""From the settings of a model to the objects that train it. Only this file turns names into objects.

A new network of ``rankaudio.backbones.NETWORKS`` needs no line here. A new loss, schedule or kind of batch
is a new entry in a table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from freesound.averaging import Average, AverageOfLast, ExponentialAverage
from freesound.data import Split
from freesound.distributed import Group
from freesound.plans.base import Augment, Member, Network, Optim, Sound
from freesound.schedule import OneCycle
from freesound.system import Criterion, Schedule
from rankaudio import (
    Chain,
    LengthBucketSampler,
    LSEPLoss,
    ORMixup,
    ShuffleChunks,
    Tagger,
    ThirdPlaceEffects,
    predict,
)
from rankaudio.backbones import NETWORKS
from rankaudio.losses import AuxiliaryLoss
from rankaudio.spectral import FRONTENDS

LOSSES: dict[str, Callable[[], Callable[[Tensor, Tensor], Tensor]]] = {
    "lsep": LSEPLoss,
    "bce": lambda: F.binary_cross_entropy_with_logits,
}


class MemberSystem:
    """The :class:`freesound.system.System` that the settings of a model describe."""

    def __init__(self, member: Member, classes: Sequence[str]) -> None:
        self.member = member
        torch.manual_seed(member.optim.seed)
        self.tagger = build_tagger(member, classes)
        self.on_waveforms = waveform_chain(member.augment, sample_rate=member.sound.sample_rate)
        self.on_spectrograms = Chain({})
        self.criterion = build_criterion(member.optim)

    def batches(self, split: Split, group: Group) -> LengthBucketSampler:
        """Return batches of clips of similar length."""
        clips, rate = self.member.clips, self.member.sound.sample_rate
        return LengthBucketSampler(
            split.train.lengths,
            batch_size=clips.batch_size,
            max_samples=round(clips.batch_size * clips.max_seconds * rate),
            spread=clips.spread,
            seed=self.member.optim.seed,
            rank=group.rank,
            world_size=group.world_size,
        )

    def optimizer(self) -> Optimizer:
        """Return Adam in its AMSGrad form."""
        return torch.optim.Adam(self.tagger.parameters(), lr=self.member.optim.lr_min, amsgrad=True)

    def schedule(self, optimizer: Optimizer, steps: int) -> Schedule:
        """Return one cycle over all steps."""
        optim = self.member.optim
        return OneCycle(optimizer, steps, low=optim.lr_min, high=optim.lr_max)

    def begin_epoch(self, epoch: int) -> None:
        """Switch augmentation off in the last epochs, if the settings say so."""
        until = self.member.augment.augment_until
        if until is not None and epoch >= until:
            self.on_waveforms.disable()
            self.on_spectrograms.disable()

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
        """Score whole clips."""
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
    member: Member,  # noqa: ARG001  (each system scores clips in its own way; this one reads no setting)
    tagger: Tagger,
    clips: Sequence[Tensor] | Dataset[Any],
    *,
    lengths: Iterable[int] | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_error: Callable[[int, Exception], None] | None = None,
) -> Tensor:
    """Return raw scores of clips, as the settings have it; arguments as in :func:`rankaudio.predict`."""
    sizes = None if lengths is None else list(lengths)
    return predict(tagger, clips, lengths=sizes, workers=workers, progress=progress, on_error=on_error)


def resolved(member: Member) -> Member:
    """Return the same settings with every default of frontend and network written out."""
    sound = replace(
        member.sound, frontend=member.sound.frontend or NETWORKS[member.network.name].default_frontend
    )
    settings = build_frontend(sound).settings()
    names = [field.name for field in fields(Sound) if field.name in settings]
    network = replace(member.network, settings=member.network.all_settings())
    return replace(member, sound=replace(sound, **{name: settings[name] for name in names}), network=network)


def build_tagger(member: Member, classes: Sequence[str]) -> Tagger:
    """Return the model: frontend, network, and the weights to start from if there are any."""
    member = resolved(member)
    frontend = build_frontend(member.sound)
    backbone = build_network(member.network, n_classes=len(classes), n_bins=frontend.n_bins)
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


def build_network(network: Network, *, n_classes: int, n_bins: int) -> nn.Module:
    """Return the network, with ``n_bins`` if its class wants to know."""
    cls = NETWORKS[network.name]
    bins = {"n_bins": n_bins} if "n_bins" in inspect.signature(cls).parameters else {}
    return cls(n_classes, **bins, **network.settings)


def load_weights(tagger: Tagger, path: Path) -> None:
    """Start from a file of ``Tagger.save``; rows of the classifier are matched by the names of classes."""
    other = Tagger.load(path)
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
    free = ("n_classes", "dropout")
    return {"type": type(module).__name__} | {k: v for k, v in module.settings().items() if k not in free}


def _listed(settings: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {settings.get(key)}" for key in keys)


def waveform_chain(augment: Augment, *, sample_rate: int) -> Chain:
    """Return mixup, effects and chunk shuffle of the third-place system, each with its probability."""
    return Chain(
        {
            "mixup": ORMixup(p=augment.mixup),
            "effects": ThirdPlaceEffects(p=augment.effects, sample_rate=sample_rate),
            "shuffle": ShuffleChunks(chunk_length=sample_rate // 2, p=augment.shuffle),
        }
    )


def build_criterion(optim: Optim) -> Criterion:
    """Return the loss, over all heads of the network; it treats clips of all sources alike."""
    loss = AuxiliaryLoss(LOSSES[optim.loss]())
    return lambda outputs, target, source: loss(outputs, target)  # noqa: ARG005


def build_average(optim: Optim, model: nn.Module, group: Group) -> Average | None:
    """Return the average of weights that the settings ask for."""
    if optim.average == "ema":
        return ExponentialAverage(model, decay=optim.average_decay, group=group)
    return AverageOfLast(epochs=optim.average_last) if optim.average == "last" else None
