"""What a plan is made of: frozen dataclasses with every value that a training depends on.

Each setting is written once, here. Its name is its option on the command line (``--lr-max``), its key in a
TOML file and its name in ``--set optim.lr_max=3e-3``. Its text is its help. The settings of a network come
from the network's class: their names, defaults and texts are those of its constructor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from freesound.plans.crops import Crops, Pools
from freesound.setting import Checked, Setting, option, settings_of_arguments
from rankaudio.backbones import NETWORKS
from rankaudio.spectral import FRONTENDS

# These arguments of a network follow from the spectrogram, so nobody has to set them.
FROM_SPECTROGRAM = ("n_bins", "in_channels")


@dataclass(frozen=True)
class Sound(Checked):
    """How a clip becomes a spectrogram. None is the default of the frontend's class."""

    frontend: str | None = option(
        None, "spectrogram; by default the one that fits the network", choices=tuple(FRONTENDS)
    )
    sample_rate: int = option(44_100, "in Hz; clips of another rate are resampled", low=1, metavar="HZ")
    n_fft: int | None = option(None, "samples in a frame; by default those of the frontend", low=1)
    hop_length: int | None = option(
        None, "samples from one frame to the next; by default those of the frontend", low=1
    )
    n_mels: int | None = option(None, "mel bands, if the frontend has them; by default 128", low=1)
    f_min: float | None = option(
        None, "lowest frequency of the mel bands, in Hz; by default that of the frontend", low=0, metavar="HZ"
    )
    ref: str | None = option(
        None,
        "what is 0 dB: max is the maximum of each clip; by default a power of 1",
        choices=("max",),
    )
    pad_mode: str | None = option(
        None,
        "what frames at both ends of a clip see; same: frames by TensorFlow's rule of that name; by default "
        "that of the frontend",
        choices=("reflect", "constant", "same"),
    )
    scale: float | None = option(None, "factor of a spectrogram in decibels; by default 1", above=0)
    deltas: int | None = option(
        None,
        "derivatives as channels, from 0 to 2; by default 2, for networks that take channels",
        low=0,
        high=2,
    )
    trim: float | None = option(
        None,
        "cut silence at both ends of every clip, so many decibels below its loudest part",
        above=0,
        metavar="DB",
    )


def network_settings(name: str) -> dict[str, Setting]:
    """Return the settings of a network by name; what follows from the spectrogram is left out."""
    found = settings_of_arguments(NETWORKS[name])
    return {key: setting for key, setting in found.items() if key not in FROM_SPECTROGRAM}


@dataclass(frozen=True)
class Network(Checked):
    """Which network, and the settings of its class."""

    name: str = option("CNN2d", "class of the network", choices=tuple(NETWORKS))
    settings: Mapping[str, Any] = field(default_factory=dict)
    start_from: str | None = option(
        None, "a model.pt of the same network to start from; its classes may be others", metavar="MODEL"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        known = network_settings(self.name)
        for key in self.settings:
            if key not in known:
                raise ValueError(f"network: wanted settings of {self.name} ({', '.join(known)}), got {key}")
        checked = {key: known[key].check(value) for key, value in self.settings.items()}
        object.__setattr__(self, "settings", checked)

    def all_settings(self) -> dict[str, Any]:
        """Return every setting of the network, with the defaults of its class where none is given."""
        known = network_settings(self.name)
        return {key: self.settings.get(key, setting.default) for key, setting in known.items()}


@dataclass(frozen=True)
class Table(Checked):
    """Where the labelled clips are, and which columns their table has."""

    table: str = option("train_curated.csv", "table of the labelled clips, in --data", metavar="CSV")
    audio: str = option("train_curated", "folder of their files, in --data", metavar="DIR")
    name_column: str = option("fname", "column of file names", metavar="COLUMN")
    label_column: str = option(
        "labels", "column of labels; several columns with commas between them", metavar="COLUMN"
    )
    separator: str = option(",", "what is between the labels of a clip", metavar="TEXT")
    fold_column: str | None = option(
        None, "column of published folds, which are used instead of --folds", metavar="COLUMN"
    )
    split_column: str | None = option(
        None,
        "column with train, val and test: one fold, which holds val out; test is not used",
        metavar="COLUMN",
    )
    skip_unlabelled: bool = option(False, "leave out clips without a label, and labels of no class")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold_column is not None and self.split_column is not None:
            raise ValueError("fold_column, split_column: wanted one of them, got both")
        if not self.separator:
            raise ValueError("separator: wanted the text between two labels, got an empty text")


# The columns of the Kaggle competition.
KAGGLE = Table()


@dataclass(frozen=True)
class Clips(Checked):
    """Which clips are trained on, and in what batches."""

    noisy: bool = option(False, "train on train_noisy too")
    extra: str | None = option(
        None,
        "table (fname, labels) of clips in train_noisy/ to train on too, instead of --noisy",
        metavar="CSV",
    )
    only_noisy: bool = option(
        False, "train on the clips of --noisy or --extra alone; curated clips are held out or not used"
    )
    corrections: str | None = option(
        None,
        "table (fname, labels) of curated clips with other labels; a clip without labels is removed",
        metavar="CSV",
    )
    folds: int = option(5, "folds; 1: train on all clips, without validation", low=1)
    batch_size: int = option(20, "most clips in a batch", low=1)
    spread: float = option(
        32.0, "batches over which clips of one length are spread", low=0, metavar="BATCHES"
    )
    max_seconds: float = option(
        15.0, "longer training clips are cut at a random place", above=0, metavar="SECONDS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noisy and self.extra is not None:
            raise ValueError("noisy, extra: wanted one of them, got both")
        if self.only_noisy and not self.noisy and self.extra is None:
            raise ValueError("only_noisy: wanted --noisy or --extra, which name the noisy clips, got none")


@dataclass(frozen=True)
class Augment(Checked):
    """What is done to the clips of a training batch, with which probability."""

    mixup: float = option(0.0, "probability of OR-mixup", low=0, high=1, metavar="P")
    weighted_mixup: float = option(
        0.0, "probability of mixup with a fixed weight", low=0, high=1, metavar="P"
    )
    mixup_weight: float = option(0.3, "weight of the other clip in it, and of its labels", low=0, high=1)
    effects: float = option(0.0, "probability of audio effects", low=0, high=1, metavar="P")
    shuffle: float = option(0.0, "probability of chunk shuffle", low=0, high=1, metavar="P")
    augment_until: int | None = option(
        None, "epochs with augmentation; by default all of them", low=1, metavar="EPOCH"
    )


@dataclass(frozen=True)
class Optim(Checked):
    """Loss, optimiser, schedule, and which weights are kept."""

    loss: str = option(
        "lsep",
        "ranking loss (lsep, or zlpr with its zero), binary cross-entropy, asymmetric or focal loss",
        choices=("lsep", "zlpr", "bce", "asl", "focal"),
    )
    label_smoothing: float = option(
        0.0, "cross-entropy asks for so much less than 1, and so much more than 0", low=0, below=0.5
    )
    epochs: int = option(30, "passes over the training clips", low=1)
    accumulate: int = option(
        1, "batches to a step: its gradient is that of the mean loss over all their clips", low=1
    )
    optimizer: str = option(
        "amsgrad",
        "Adam, its AMSGrad form, or its Nesterov form with the constants of Keras",
        choices=("amsgrad", "adam", "nadam"),
    )
    schedule: str = option(
        "cycle",
        "one cycle, or the rate lr_max, which is lowered when validation is on a plateau or at milestones",
        choices=("cycle", "plateau", "milestones"),
    )
    lr_min: float = option(1e-4, "learning rate at the start of the cycle", low=0)
    lr_max: float = option(5e-3, "learning rate at its top", low=0)
    patience: int = option(6, "epochs without a gain after which a plateau schedule lowers the rate", low=0)
    factor: float = option(
        0.6, "factor by which a plateau schedule or a milestone lowers the rate", above=0, below=1
    )
    milestones: str = option("14,21,28", "epochs, from 0, that begin with a lower rate", metavar="EPOCH,...")
    clip_norm: float | None = option(
        None, "largest norm of the gradient; a larger one is scaled down to it", above=0
    )
    precision: str = option(
        "fp32",
        "of the network in training; weights, spectrograms, losses and validation stay in fp32; auto: fp16 "
        "on an accelerator, fp32 on a CPU",
        choices=("fp32", "bf16", "fp16", "auto"),
    )
    compile: bool = option(
        False, "compile the network for training, which takes minutes; on a CPU again for new lengths"
    )
    early_stop: int | None = option(None, "stop after so many epochs without a better one", low=1)
    average: str = option(
        "none",
        "validate and keep an average of the weights: an exponential moving average over the steps (ema), or "
        "the mean over the last epochs (last); running statistics are averaged too",
        choices=("none", "ema", "last"),
    )
    average_decay: float = option(
        0.999,
        "decay of the exponential average at each step; less in the first steps",
        low=0,
        below=1,
    )
    average_last: int = option(5, "epochs of the mean over the last ones", low=1)
    seed: int = option(42, "of folds, weights, batches and augmentation")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_smoothing and self.loss != "bce":
            raise ValueError(f"label_smoothing: wanted loss bce, got {self.loss}")
        if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", self.milestones, flags=re.ASCII):
            raise ValueError(f"milestones: wanted epochs with commas between them, got {self.milestones!r}")

    @property
    def milestone_epochs(self) -> tuple[int, ...]:
        """The epochs of ``milestones``."""
        return tuple(int(epoch) for epoch in self.milestones.split(","))


@dataclass(frozen=True)
class Member(Checked):
    """One model of a system: every value that decides how its folds turn out."""

    name: str = option("model", "name of the model")
    sound: Sound = field(default_factory=Sound)
    network: Network = field(default_factory=Network)
    table: Table = field(default_factory=Table)
    clips: Clips = field(default_factory=Clips)
    augment: Augment = field(default_factory=Augment)
    crops: Crops = field(default_factory=Crops)
    pools: Pools = field(default_factory=Pools)
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optim.early_stop is not None and self.clips.folds == 1:
            raise ValueError("early_stop: wanted clips that are held out (folds from 2), got folds 1")
        if self.optim.schedule == "plateau" and self.clips.folds == 1:
            raise ValueError("schedule plateau: wanted clips that are held out (folds from 2), got folds 1")
        if self.pools.noisy_share and not self.clips.noisy and self.clips.extra is None:
            raise ValueError("noisy_share: wanted --noisy or --extra, which name the noisy clips, got none")


@dataclass(frozen=True)
class Machine(Checked):
    """Where a training runs. Nothing here changes its result on one device."""

    device: str | None = option(None, "where to compute; by default the accelerator, if there is one")
    workers: int = option(0, "processes that read clips; 0: the training process reads them", low=0)
    checkpoint_seconds: float = option(
        600.0,
        "save the state of training this often within an epoch, if one process trains",
        low=0,
        metavar="SECONDS",
    )
    tensorboard: bool | None = option(None, "write scalars for TensorBoard; by default if it is installed")


@dataclass(frozen=True)
class Plan:
    """A system: its members. Each system's plan adds what its steps need."""

    members: tuple[Member, ...]

    def member(self, name: str) -> Member:
        """Return the member of that name."""
        for member in self.members:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.members)
        raise ValueError(f"--only: wanted members of the plan ({known}), got {name!r}")
