"""Batches: clips of several lengths in one padded tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rankaudio._checks import check_floating, check_ordered, check_tensor, describe

__all__ = ["Batch", "pad_collate"]


class Batch(NamedTuple):
    """Clips of several lengths in one tensor.

    Attributes:
        waveform: ``(B, T)``, zero after the end of each clip.
        target: ``(B, C)``, or None.
        lengths: ``(B,)`` int64, in samples.

    >>> waveform, target, lengths = pad_collate([torch.ones(2), torch.ones(3)])
    >>> target is None, lengths
    (True, tensor([2, 3]))
    """

    waveform: Tensor
    target: Tensor | None
    lengths: Tensor


def pad_collate(items: Sequence[Tensor | tuple[Tensor, Tensor]]) -> Batch:
    """Pad clips with zeros to the longest; the ``collate_fn`` for a :class:`ClipDataset`.

    Args:
        items: waveforms ``(T,)``, or pairs of a waveform and its target ``(C,)``. At least one.

    Returns:
        A :class:`Batch`.

    Raises:
        TypeError: if an item is something else, or only some items have a target.
        ValueError: if there is no item, a waveform has no samples, or targets have different shapes.

    >>> batch = pad_collate([torch.ones(2), torch.ones(3)])
    >>> batch.waveform, batch.lengths
    (tensor([[1., 1., 0.],
            [1., 1., 1.]]), tensor([2, 3]))
    """
    items = tuple(check_ordered("items", items, "clips"))  # type: ignore[arg-type]
    if not items:
        raise ValueError("items: wanted at least one clip, got none")
    pairs = [_as_pair(index, item) for index, item in enumerate(items)]
    waveforms = [waveform for waveform, _ in pairs]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return Batch(pad_sequence(waveforms, batch_first=True), _stack_targets(pairs), lengths)


def _as_pair(index: int, item: object) -> tuple[Tensor, Tensor | None]:
    waveform, target = item if isinstance(item, (tuple, list)) and len(item) == 2 else (item, None)
    name = f"items[{index}]"
    tensor = check_floating(name, waveform, ndim=(1,))
    if len(tensor) == 0:
        raise ValueError(f"{name}: wanted at least one sample, got {describe(tensor)}")
    return tensor, None if target is None else check_tensor(name, target)


def _stack_targets(pairs: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor | None:
    targets = [target for _, target in pairs if target is not None]
    if not targets:
        return None
    if len(targets) < len(pairs):
        raise TypeError(
            f"items: wanted a target with every clip or with none, got {len(targets)} of {len(pairs)}"
        )
    for index, target in enumerate(targets):
        if target.shape != targets[0].shape:
            wanted = f"the shape of the first target, {tuple(targets[0].shape)}"
            raise ValueError(f"items[{index}]: wanted {wanted}, got {describe(target)}")
    return torch.stack(targets)
