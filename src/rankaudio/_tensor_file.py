"""Files of ``torch.save``: written with checksums, and read though they may be damaged or made to do harm."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from rankaudio._checks import describe, first_few
from rankaudio._files import check_regular_file, write_bytes

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool)


def write_tensors(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write tensors and plain types; the file is complete or not there."""
    # In memory first, because on a full disk torch.save raises errors of other types.
    archive = io.BytesIO()
    with _checksums():
        torch.save(content, archive)
    write_bytes(path, archive.getvalue())


@contextlib.contextmanager
def _checksums() -> Iterator[None]:
    """Write true checksums, also where a program has told PyTorch to leave them out."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(True)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def read_tensors(path: str | os.PathLike[str], wanted: str) -> dict[str, Any]:
    """Return the dict in a file of ``torch.save``, with its tensors on the CPU. No code in the file is run.

    The CRC-32 of each part of the archive is compared first, so a flipped bit is found. PyTorch itself does
    not look at it. The parts of such an archive are not compressed. So a small file cannot ask for much
    memory.

    Args:
        path: the file.
        wanted: what the file should be, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is another or a damaged file. The message names it.
    """
    path = Path(path)
    check_regular_file(path)
    with path.open("rb") as file:
        _check_archive(path, file, wanted)
        try:
            with warnings.catch_warnings():
                # PyTorch warns of sparse tensors, which no file of this library holds.
                warnings.simplefilter("ignore")
                content = torch.load(file, map_location="cpu", weights_only=True)
        # On a damaged pickle, PyTorch raises errors of a dozen kinds, among them struct.error.
        except Exception as error:
            raise _damaged(path, wanted) from error
    if not isinstance(content, dict):
        raise wrong(path, f"wanted {wanted}, got {describe(content)}")
    return content


def wrong(place: object, problem: str) -> ValueError:
    """Return the error of a file: a wrong type in it is no wrong type of an argument."""
    return ValueError(f"{place}: {problem}")


def check_state(path: Path, state: object) -> dict[str, Tensor]:
    """Return the state dict of a file if it holds plain tensors by name, and not more than the file."""
    if not isinstance(state, dict):
        raise wrong(path, f"state: wanted tensors by name, got {describe(state)}")
    for name, value in state.items():
        if not isinstance(name, str):
            raise wrong(path, f"state: wanted tensors by name, got the name {describe(name)}")
        if not isinstance(value, Tensor) or not _is_plain(value):
            raise wrong(path, f"state: wanted a plain tensor for {describe(name)}, got {describe(value)}")
    return state


def check_fit(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], owner: str) -> None:
    """Refuse a state dict with other names, shapes or kinds of numbers than those of the Module."""

    def refuse(problem: str, names: list[str]) -> None:
        if names:
            raise ValueError(f"{path}: its tensors do not fit {owner}: {problem} {first_few(names)}")

    refuse("missing are", [name for name in wanted if name not in state])
    refuse("unknown are", [name for name in state if name not in wanted])
    for name, value in wanted.items():
        got = state[name]
        if got.shape != value.shape or got.is_floating_point() != value.is_floating_point():
            shape = tuple(value.shape)
            raise ValueError(
                f"{path}: its tensors do not fit {owner}: {name} wants shape {shape}, got {describe(got)}"
            )


def _check_archive(path: Path, file: BinaryIO, wanted: str) -> None:
    """Refuse a file that is no archive, is compressed, or whose parts differ from their checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            compressed = [part for part in archive.infolist() if part.compress_type != zipfile.ZIP_STORED]
            damaged = None if compressed else archive.testzip()
    # zipfile raises several kinds on damaged headers, among them struct.error and NotImplementedError.
    except Exception as error:
        raise _damaged(path, wanted) from error
    if compressed:
        raise ValueError(
            f"{path}: wanted {wanted}, got an archive with compressed parts, which PyTorch never writes"
        )
    if damaged is not None:
        raise ValueError(f"{path}: damaged: its part {damaged!r} differs from its checksum; use another copy")
    file.seek(0)


def _damaged(path: Path, wanted: str) -> ValueError:
    return ValueError(f"{path}: wanted {wanted}, got another or a damaged file")


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is stored in full, on the CPU: no view that repeats numbers, nothing sparse."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _DTYPES:
        return False
    return not tensor.is_nested and tensor.nbytes <= tensor.untyped_storage().nbytes()
