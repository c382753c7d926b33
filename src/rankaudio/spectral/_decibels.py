"""Power in decibels."""

from __future__ import annotations

import torch
from torch import Tensor

from rankaudio._checks import check_floating, check_lengths, check_number, describe
from rankaudio.lengths import zero_beyond


def power_to_db(
    spectrogram: Tensor,
    lengths: Tensor | None = None,
    *,
    ref: float = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Tensor:
    r"""Return power in decibels, cut off at a distance below each clip's own peak.

    .. math:: y = \max\Bigl(z, \; \max z - \mathit{top\_db}\Bigr), \qquad
        z = 10 \log_{10} \frac{\max(x, \mathit{amin})}{\max(\mathit{ref}, \mathit{amin})}

    Args:
        spectrogram: ``(B, F, N)`` floating point, power (not magnitude).
        lengths: ``(B,)`` integers, frames of each clip; ``None`` is all of them.
        ref: the power that is 0 dB.
        amin: the smallest power; everything below counts as this power.
        top_db: decibels kept below the peak of the clip; ``None`` keeps all.

    Returns:
        ``(B, F, N)``; float64 for float64, else float32. Frames after a clip's end hold the value of
        silence, which is the lowest value that a clip with this peak can have.

    Raises:
        TypeError: if the spectrogram is not floating point, or a setting has another type.
        ValueError: if it is not ``(B, F, N)``, is empty along F or N, or a setting is out of range.

    Reference:
        ``librosa.power_to_db``, for each clip by itself; the input of the first-place system of
        Freesound Audio Tagging 2019.

    >>> power_to_db(torch.tensor([[[1.0, 100.0, 0.0]]]))
    tensor([[[  0.,  20., -60.]]])
    """
    spectrogram, lengths = check_spectrogram(spectrogram, lengths)
    amin = check_number("amin", amin, 1e-30)
    ref = max(check_number("ref", ref, 0), amin)
    db = 10 * (zero_beyond(spectrogram, lengths).clamp(min=amin) / ref).log10()
    if top_db is None:
        return db
    floor = db.amax(dim=(1, 2), keepdim=True) - check_number("top_db", top_db, 0)
    return torch.maximum(db, floor)


def check_spectrogram(spectrogram: object, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Check a spectrogram and its lengths in frames; half precision becomes float32."""
    tensor = check_floating("spectrogram", spectrogram, ndim=(3,))
    batch, bins, frames = tensor.shape
    if bins == 0 or frames == 0:
        raise ValueError(f"spectrogram: wanted at least one bin and one frame, got {describe(tensor)}")
    if lengths is not None:
        lengths = check_lengths(lengths, batch=batch, longest=frames, like=tensor)
    return tensor if tensor.dtype == torch.float64 else tensor.float(), lengths
