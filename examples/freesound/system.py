"""The seam between the training loop and a plan: what a plan hands to the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import Dataset

from freesound.data import BatchSampler, Split
from freesound.distributed import Group
from rankaudio import Chain, Tagger

# (outputs of the network, target, source of each clip) -> mean loss of the batch.
Criterion = Callable[[Any, Tensor, Tensor], Tensor]


class Schedule(Protocol):
    """The learning rates of an optimiser. Making one sets the rate of the first step."""

    def after_step(self) -> None:
        """Set the rate of the next step."""

    def after_epoch(self, value: float) -> None:
        """Take the validation value of an epoch, NaN if there is none; set the rate of the next step."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to resume, in plain types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from there."""


class System(Protocol):
    """A model in training: what to do to a batch, what to learn, and how to score clips.

    A step calls ``on_waveforms``, ``tagger.spectrogram``, ``on_spectrograms``, ``tagger.backbone`` and
    ``criterion``, in this order.

    Attributes:
        mix_within_source: whether only spectrograms of one source are mixed. The source of a mixture is then
            known, which a criterion for each source needs.
        side_inputs_of_clips: whether side inputs are those of the clips before ``on_waveforms``. Otherwise
            they are those of its result. A segment has lost the duration of its clip.
    """

    tagger: Tagger
    on_waveforms: Chain
    on_spectrograms: Chain
    mix_within_source: bool
    side_inputs_of_clips: bool
    criterion: Criterion

    def batches(self, split: Split, group: Group) -> BatchSampler:
        """Return the batches of this rank."""

    def optimizer(self) -> Optimizer:
        """Return the optimiser of the tagger's parameters."""

    def schedule(self, optimizer: Optimizer, steps: int) -> Schedule:
        """Return the learning rates of a training of so many steps."""

    def begin_epoch(self, epoch: int) -> None:
        """Set what depends on the epoch (from 0), such as whether clips are augmented."""

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
        """Return raw scores ``(len(clips), C)`` of whole clips by a tagger, which may be an average.

        The arguments are those of :func:`rankaudio.predict`.
        """
