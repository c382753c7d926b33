"""Parquet files: each is whole or not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet


def as_bytes(table: pa.Table | Mapping[str, Any]) -> bytes:
    """Return the content of a Parquet file."""
    given = table if isinstance(table, pa.Table) else pa.table(dict(table))
    sink = pa.BufferOutputStream()
    parquet.write_table(given, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def read_table(path: Path, columns: Sequence[str] = (), *, some: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or ``some`` of its columns.

    Raises:
        ValueError: if it is damaged, or has not these columns.
    """
    try:
        table = parquet.read_table(path, columns=some)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: wanted a Parquet file, got a damaged one; remove it") from error
    if columns and tuple(table.column_names) != tuple(columns):
        raise ValueError(f"{path}: wanted the columns {', '.join(columns)}, got others")
    return table
