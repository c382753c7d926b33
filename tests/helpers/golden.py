"""The state dicts of tests/golden/cnn*.npz, which are drawn again instead of stored."""

import hashlib

import numpy as np
import torch


def golden_state(golden):
    """Draw the state dict that the originals had, under its original keys.

    Args:
        golden: one of the open files ``cnn*.npz``. It holds the seed, the keys, the shapes (filled up with
            zeros) and a checksum of the state dict.

    Raises:
        ValueError: if this numpy draws other numbers than the one that the golden numbers were made with.
    """
    generator = np.random.default_rng(int(golden["state_seed"]))
    state, checksum = {}, hashlib.sha256()
    for key, shape in zip(golden["state_keys"].tolist(), golden["state_shapes"].tolist(), strict=True):
        values = _draw(generator, key, tuple(size for size in shape if size))
        checksum.update(values.tobytes())
        state[key] = torch.from_numpy(values)
    if checksum.hexdigest() != str(golden["state_sha256"]):
        raise ValueError(f"numpy {np.__version__} draws other weights from this seed than numpy 2.4 did")
    return state


def _draw(generator, key, shape):
    """Draw one entry, rounded to a grid so coarse that float16 holds every value exactly."""
    if key.endswith("num_batches_tracked"):
        return np.array(100)
    if key.endswith("running_var"):
        values, grid = 0.5 + 1.5 * generator.random(shape), 64
    elif key.endswith("running_mean"):
        values, grid = 0.5 * generator.standard_normal(shape), 64
    elif "bias" in key:
        values, grid = 0.1 * generator.standard_normal(shape), 128
    elif len(shape) == 1:  # the scales of batch norms and the slopes of PReLUs
        values, grid = 0.1 + 1.1 * generator.random(shape), 64
    else:
        deviation = 1.2 / np.sqrt(np.prod(shape[1:]))
        values, grid = deviation * generator.standard_normal(shape), 2.0 ** -np.floor(np.log2(deviation / 8))
    return (np.round(values * grid) / grid).astype(np.float16)
