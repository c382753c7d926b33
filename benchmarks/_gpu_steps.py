"""A training step of the 2d network on a GPU, next to the same network in plain PyTorch."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from _gpu_timing import GPU, Row, rows_of
from _real_clips import Batch, batches
from rankaudio import CNN2d, LogMel, LSEPLoss
from training_step import CLASSES, PlainNetwork, plain_lsep

COMPILERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "": lambda network: network,
    "compiled": torch.compile,
    "CUDA graphs": lambda network: torch.compile(network, mode="reduce-overhead"),
}


def training_steps(
    arguments: argparse.Namespace, depths: tuple[int, ...], modes: tuple[str, ...]
) -> list[Row]:
    batch = batches(1, arguments.corpus)[0]
    return [row for depth in depths for row in steps_of(batch, depth, modes)]


def steps_of(batch: Batch, depth: int, modes: tuple[str, ...]) -> list[Row]:
    waveform, lengths = (tensor.to(GPU) for tensor in batch)
    frontend = LogMel().to(GPU)
    spectrogram, frames = frontend(waveform, lengths), frontend.frame_lengths(lengths)
    target = (torch.rand(len(lengths), CLASSES, device=GPU) < 0.02).float()
    plain, ours = PlainNetwork(depth).to(GPU), CNN2d(CLASSES, base_depth=depth).to(GPU)
    ours.load_state_dict(plain.state_dict())
    plain = plain.to(memory_format=torch.channels_last)
    given = spectrogram.double(), target.double()
    with torch.no_grad():
        exact = {
            "ours": float(LSEPLoss()(copy.deepcopy(ours).double()(given[0], frames), given[1])),
            "plain": float(plain_lsep(copy.deepcopy(plain).double()(given[0]), given[1])),
        }
    rows = []
    for mode in modes:
        compiled = COMPILERS[mode.partition(", ")[2]]
        dtype = torch.bfloat16 if "bfloat16" in mode else None
        mine, theirs = compiled(copy.deepcopy(ours)), compiled(copy.deepcopy(plain))
        steps = {
            "rankaudio, lengths": step(mine, (spectrogram, frames), LSEPLoss(), target, dtype),
            "plain, channels last": step(theirs, (spectrogram,), plain_lsep, target, dtype),
        }
        errors = {
            name: abs(float(run()) - exact[kind])
            for (name, run), kind in zip(steps.items(), exact, strict=True)
        }
        rows += rows_of(f"base {depth}, {mode}", steps, errors)
    return rows


def step(
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    loss: Callable[[Tensor, Tensor], Tensor],
    target: Tensor,
    dtype: torch.dtype | None,
) -> Callable[[], Tensor]:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5, amsgrad=True)

    def run() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
            scores = network(*inputs)
        value = loss(scores.float(), target)
        value.backward()
        optimizer.step()
        return value.detach()

    return run
