"""IDX files, plain or gzipped: what their header says, checked before anything is believed.

Source: the data set's page, "the IDX file format": two zero bytes, the type (8 is uint8), the number of dimensions,
then each dimension as big-endian uint32, then the data.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from chimera_core.api import DataError

UInt8 = NDArray[np.uint8]

MAX_BYTES = 2**31
"""The largest array that is read. MNIST's largest has 47 million; a small gzip file can claim and unfold to much more."""
_UINT8 = 8


def read_shape(path: Path, ndim: int) -> tuple[int, ...]:
    """Read the dimensions from the header; of a plain file they are held against its length.

    Args:
        path: ``...-ubyte`` or ``...-ubyte.gz``.
        ndim: number of dimensions that it should have.
    Raises:
        DataError: if it cannot be read, is no IDX file of uint8, or has other dimensions or length.
    """
    try:
        with _open(path) as file:
            shape = _shape(file, path, ndim)
        if path.suffix != ".gz":
            _check_length(path, path.stat().st_size - _header_bytes(ndim), shape)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    return shape


def read_array(path: Path, ndim: int) -> UInt8:
    """Read all numbers: uint8 with ``ndim`` dimensions. A plain file is memory-mapped, read-only.

    Raises:
        DataError: as ``read_shape``.
    """
    if path.suffix != ".gz":
        shape = read_shape(path, ndim)
        try:
            return np.memmap(path, np.uint8, mode="r", offset=_header_bytes(ndim), shape=shape)
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
    try:
        with _open(path) as file:
            shape = _shape(file, path, ndim)
            # One byte more than it should have shows that there is more, without unfolding a bomb.
            data = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    _check_length(path, len(data), shape)
    return np.frombuffer(data, np.uint8).reshape(shape)


@lru_cache(maxsize=4)
def cached_array(path: Path, ndim: int, changed_ns: int) -> UInt8:
    """Read an array once in a process; ``changed_ns``, its time of change, tells versions apart."""
    return read_array(path, ndim)


def _open(path: Path) -> BinaryIO:
    if not path.is_file():  # a pipe would wait for ever
        raise DataError(f"'{path}' is not a file: get the data anew")
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _shape(file: BinaryIO, path: Path, ndim: int) -> tuple[int, ...]:
    head = file.read(_header_bytes(ndim))
    if len(head) < _header_bytes(ndim) or head[:4] != bytes([0, 0, _UINT8, ndim]):
        raise DataError(
            f"'{path}' is not an IDX file of uint8 in {ndim} dimensions (it begins with {head[:4].hex(' ') or 'nothing'}, "
            f"expected 00 00 08 {ndim:02x}): get it anew"
        )
    shape = struct.unpack(f">{ndim}I", head[4:])
    if not all(shape) or math.prod(shape) > MAX_BYTES:
        raise DataError(f"'{path}' claims {_times(shape)} bytes: get it anew")
    return shape


def _check_length(path: Path, length: int, shape: tuple[int, ...]) -> None:
    expected = math.prod(shape)
    if length != expected:
        found = f"{length:,}" if length < expected or path.suffix != ".gz" else "more"
        raise DataError(
            f"'{path}' should hold {_times(shape)} = {expected:,} bytes behind its header, but holds {found}: get it anew"
        )


def _header_bytes(ndim: int) -> int:
    return 4 + 4 * ndim


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"'{path}' cannot be read ({str(error) or 'it ends too early'}): get it anew")
