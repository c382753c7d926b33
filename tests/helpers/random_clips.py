"""Random clips with bad padding, for tests of everything that takes lengths."""

import math

import torch
from torch import Tensor


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def random_clips(clips: int, longest: int, number: int, *, bins: int | None = None) -> tuple[Tensor, Tensor]:
    """Return clips of random lengths, with NaN as padding, and their lengths."""
    generator = seed(number)
    lengths = torch.randint(1, longest + 1, (clips,), generator=generator)
    shape = (clips, longest) if bins is None else (clips, bins, longest)
    values = torch.randn(shape, dtype=torch.float64, generator=generator)
    for row, length in enumerate(lengths):
        values[row, ..., length:] = math.nan
    return values, lengths
