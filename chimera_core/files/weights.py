"""Files of weights: name -> tensor, read without running what they may carry, checked before use, and written."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from chimera_core.errors import DataError
from chimera_core.files.atomic import AnyPath, broken_link, one_line, quote, typed_address

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_PICKLES = (".pth", ".pt")
_LONGEST_HEADER = 16 << 20  # a network of 1,000 tensors has 100 kB
# torch's names of types to those of safetensors, in the order in which safetensors lays tensors out.
_TYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "float32": "F32", "uint32": "U32", "int32": "I32",
    "bfloat16": "BF16", "float16": "F16", "uint16": "U16", "int16": "I16", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def load_state(path: AnyPath) -> dict[str, Tensor]:
    """Read a file of weights. No code in it is ever run.

    Args:
        path: a .safetensors file, or a state dict saved by torch (.pth, .pt).
    Returns:
        Tensors by name, in the file's order, on the CPU, without gradients.
    Raises:
        DataError: no such file, another kind, damaged, or anything in it that is not a named plain tensor.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in (".safetensors", *_PICKLES):
        raise DataError(f"{quote(path)} is not a file of weights: it must end in .safetensors, .pth or .pt")
    if not file.is_file():
        if address := typed_address(path):
            raise DataError(f"{address}, so download it first")
        what = broken_link(path) or f"there is no file of weights {quote(path)}"
        raise DataError(f"{what}: check its name")
    if suffix not in _PICKLES:
        check_header(file)
    try:
        content = _read_pickle(file) if suffix in _PICKLES else _read_safetensors(file)
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        # Their text is left out: torch's is a page long, and advises to run the file's code.
        raise DataError(
            f"{quote(path)} is damaged, or holds more than plain tensors ({type(error).__name__}): get it anew, "
            "or save nothing but a state dict"
        ) from error
    return _plain_tensors(content, where=quote(path))


def write_safetensors(file: BinaryIO, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> None:
    """Write tensors in the format of safetensors, byte for byte as that package does, from where they lie in memory.

    Its own ``save`` makes two copies of the whole file first, which takes longer than the writing; its ``save_file``
    writes a file of another name beside, which stays when it is killed.

    Args:
        file: open for writing, at its beginning.
        tensors: by name; contiguous, on the CPU.
        metadata: words by name; several are written in this order.
    Raises:
        DataError: if the format has no such type.
    Source: https://github.com/huggingface/safetensors, README, "Format".
    """
    order = list(_TYPES)
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    types = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
    for name, dtype in types.items():
        if dtype not in _TYPES:
            raise DataError(f"tensor {quote(name)} is {dtype}, which safetensors does not know: convert it")
    names = sorted(tensors, key=lambda name: (order.index(types[name]), name))
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _TYPES[types[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers lie at places that a processor likes
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(_little_endian(tensors[name]))


def to_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo the shortening of an exported file: all floating tensors in fp32."""
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def check_state(
    state: Mapping[str, Tensor],
    expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
    *,
    where: str = "the state dict",
) -> None:
    """Check that weights are those of a model: the same names, shapes and types, none more and none less.

    Args:
        state: tensors by name.
        expected: (shape, dtype) by name.
        where: what the message names, e.g. the file.
    Raises:
        DataError: for the first tensor, in the order of ``expected``, that is missing or other; then for the
            first one too many.
    """
    for name, (shape, dtype) in expected.items():
        if name not in state:
            raise DataError(f"{where} has no tensor {quote(name)}: it is made for another model")
        tensor = state[name]
        if tuple(tensor.shape) != tuple(shape):
            raise DataError(
                f"{where}: {quote(name)} has shape {tuple(tensor.shape)}, but the model needs {tuple(shape)}"
            )
        if tensor.dtype != dtype:
            raise DataError(f"{where}: {quote(name)} is {tensor.dtype}, but the model needs {dtype}")
    for name in state:
        if name not in expected:
            raise DataError(f"{where} has a tensor {quote(name)} that the model does not know")


def check_header(path: AnyPath) -> None:
    """Refuse a .safetensors file whose header is not there, or too long: it is parsed as a whole, at 10 times its length.

    Raises:
        DataError: naming the file.
    """
    try:
        with open(path, "rb") as file:
            length, rest = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size - 8
    except OSError as error:
        raise DataError(f"{quote(path)} cannot be read ({error.strerror}): get it anew") from None
    if not 2 <= length <= min(rest, _LONGEST_HEADER):
        raise DataError(
            f"{quote(path)} is damaged (a header of {length:,} bytes, where {max(rest, 0):,} follow and "
            f"{_LONGEST_HEADER:,} are allowed): get it anew"
        )


def _little_endian(tensor: Tensor) -> memoryview:
    import torch

    width = tensor.itemsize
    # By way of bytes, because numpy has no bfloat16.
    values = tensor.reshape(-1).view(torch.uint8).numpy().view(f"=u{width}")
    return values.astype(f"<u{width}", copy=False).data


def _read_safetensors(file: Path) -> Any:
    import safetensors.torch

    return safetensors.torch.load_file(file)


def _read_pickle(file: Path) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch asks to report files of other pickle protocols to it
        return torch.load(file, map_location="cpu", weights_only=True)


def _plain_tensors(content: Any, *, where: str) -> dict[str, Tensor]:
    import torch

    if not isinstance(content, dict):
        raise DataError(f"{where} holds a {type(content).__name__}, not tensors by name: save a state dict")
    if not content:
        raise DataError(f"{where} holds no tensors: get it anew")
    state = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise DataError(
                f"{where}: {one_line(repr(name), limit=80)} is of type {type(value).__name__}, but only tensors with "
                "names are weights: save the state dict alone"
            )
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise DataError(f"{where}: {quote(name)} is not a plain dense tensor: save it as one")
        state[name] = value.detach()
    return state
