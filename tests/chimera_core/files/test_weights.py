"""Files of weights are read as tensors by name, or refused in one line; their code never runs."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from chimera_core.errors import DataError
from chimera_core.files.weights import check_state, load_state, write_safetensors

STATE = {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.tensor([1, 2])}


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_state(path)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable() and len(message) < 400
    return message


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.safetensors": lambda path: save_file(STATE, path),
    "a.pth": lambda path: torch.save(STATE, path),
    "a.PT": lambda path: torch.save(collections.OrderedDict(STATE), path),
    "old.pth": lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_saved_is_what_is_loaded(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    loaded = load_state(tmp_path / name)
    assert type(loaded) is dict and loaded.keys() == STATE.keys()
    for key, tensor in STATE.items():
        assert loaded[key].dtype == tensor.dtype
        torch.testing.assert_close(loaded[key], tensor, rtol=0, atol=0)


TYPES = [
    torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.int16, torch.uint16,
    torch.float16, torch.bfloat16, torch.int32, torch.uint32, torch.float32, torch.float64, torch.int64, torch.uint64,
]  # fmt: skip


@pytest.mark.parametrize("metadata", [{}, {"chimera": '{"a": "ü\\n\x1f\x7f"}'}])
def test_tensors_of_every_type_are_written_byte_for_byte_as_safetensors_does(
    metadata: dict[str, str],
) -> None:
    numbers = torch.arange(-3, 5)
    state = {f"{k % 4}.{dtype}": numbers.to(dtype).reshape(2, -1) for k, dtype in enumerate(TYPES)}
    state |= {
        "none": torch.zeros(0, 3),
        "ö": torch.tensor(2.5),
        'Z\n"': torch.tensor(True),
        "b": torch.ones(3),
    }
    file = io.BytesIO()
    write_safetensors(file, state, metadata=metadata)
    assert file.getvalue() == save(state, metadata=metadata or None)


def test_nothing_and_a_single_number_are_written_as_safetensors_does() -> None:
    for state in ({}, {"a": torch.tensor(1, dtype=torch.uint8)}):
        file = io.BytesIO()
        write_safetensors(file, state, metadata={})
        assert file.getvalue() == save(state)


def test_a_type_that_the_format_does_not_know_is_named() -> None:
    file = io.BytesIO()
    with pytest.raises(DataError, match="tensor 'z' is complex128, which safetensors does not know"):
        write_safetensors(file, {"z": torch.zeros(2, dtype=torch.complex128)}, metadata={})
    assert not file.getvalue()


def test_parameters_come_without_gradients(tmp_path: Path) -> None:
    torch.save({"w": torch.nn.Parameter(torch.ones(2))}, tmp_path / "a.pth")
    loaded = load_state(tmp_path / "a.pth")["w"]
    assert not loaded.requires_grad and loaded.is_leaf


class Evil:
    """Unpickled carelessly, it makes a folder."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)


@pytest.mark.parametrize("shape", ["zip", "legacy", "plain pickle", "inside", "a class"])
def test_code_in_a_file_is_never_run(tmp_path: Path, shape: str) -> None:
    witness, path = tmp_path / "witness", tmp_path / "evil.pth"
    content: object = Evil(witness) if shape != "inside" else {**STATE, "z": [Evil(witness)]}
    if shape == "plain pickle":
        data = pickle.dumps(content)
    elif shape == "a class":
        data = saved(torch.nn.Linear(2, 2))
    else:
        data = saved(content, _use_new_zipfile_serialization=shape != "legacy")
    path.write_bytes(data)
    assert "holds more than plain tensors" in refused(path)
    assert not witness.exists()
    # The file is a real trap: whoever trusts it steps in.
    if shape == "plain pickle":
        pickle.loads(data)
        assert witness.is_dir()
    elif shape != "a class":
        torch.load(path, weights_only=False)
        assert witness.is_dir()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(1)], "holds a list, not tensors by name"),
        (torch.ones(1), "holds a Tensor, not tensors by name"),
        (None, "holds a NoneType"),
        ({}, "holds no tensors"),
        (
            {"epoch": 3, "model": STATE},
            "'epoch' is of type int, but only tensors with names are weights: save the",
        ),
        ({"state_dict": STATE}, "'state_dict' is of type dict"),
        ({1: torch.ones(1)}, "1 is of type Tensor"),
        ({"a\n\x1b[31m": "x" * 999}, r"'a\n\x1b[31m' is of type str"),
        ({"k" * 5000: 3}, "…"),
        ({"s": torch.eye(2).to_sparse()}, "'s' is not a plain dense tensor"),
        ({"m": torch.empty(2, device="meta")}, "'m' is not a plain dense tensor"),
    ],
)
def test_anything_but_tensors_by_name_is_refused(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert words in refused(tmp_path / "a.pth")


def header(claims: int, text: bytes) -> bytes:
    return struct.pack("<Q", claims) + text


@pytest.mark.parametrize(
    "data",
    [
        header(2**60, b"{}"),
        header(2**64 - 1, b""),
        header(2, b"{"),
        header(9, b"[" * 9),
        header(4, b"null"),
        b"",
        b"\0",
        save(STATE)[:-1],
        save(STATE)[:40],
        save(STATE) + b"tail",
        save(STATE).replace(b'"F32"', b'"F99"'),
        save(STATE).replace(b"[2,3,2,2]", b"[2,3,2,9]"),
        saved(STATE),
    ],
)
def test_a_damaged_safetensors_is_refused_at_once(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    assert "is damaged" in refused(tmp_path / "a.safetensors")


def test_a_safetensors_without_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(save({}))
    assert "holds no tensors" in refused(tmp_path / "a.safetensors")


def zip_of_nothing() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"\0", b"<html>", save(STATE), zip_of_nothing(), pickle.dumps({}) * 3])
def test_a_damaged_pickle_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(data)
    refused(tmp_path / "a.pth")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["safetensors", "zip", "legacy"]), st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, share: float
) -> None:
    data = (
        save(STATE) if kind == "safetensors" else saved(STATE, _use_new_zipfile_serialization=kind == "zip")
    )
    path = tmp_path_factory.getbasetemp() / f"cut.{'safetensors' if kind == 'safetensors' else 'pth'}"
    path.write_bytes(data[: int(share * len(data))])
    refused(path)


def test_a_missing_file_a_folder_and_another_kind_are_said(tmp_path: Path) -> None:
    assert "there is no file of weights" in refused(tmp_path / "a.pth")
    (tmp_path / "b.pth").mkdir()
    assert "there is no file of weights" in refused(tmp_path / "b.pth")
    (tmp_path / "c.bin").write_bytes(b"")
    assert "must end in .safetensors, .pth or .pt" in refused(tmp_path / "c.bin")


EXPECTED = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in STATE.items()}


def test_fitting_weights_pass() -> None:
    check_state(STATE, EXPECTED)
    check_state({}, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"conv.weight": torch.ones(2, 3)},
            "'conv.weight' has shape (2, 3), but the model needs (2, 3, 2, 2)",
        ),
        ({"conv.bias": torch.ones(2)}, "'conv.bias' is torch.float32, but the model needs torch.int64"),
        ({"conv.weight": None}, "has no tensor 'conv.weight'"),
        ({"conv.\nextra": torch.ones(1)}, r"has a tensor 'conv.\nextra' that the model does not know"),
        ({"conv.weight": torch.ones(()), "conv.bias": torch.ones(9)}, "'conv.weight' has shape ()"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(changes: dict[str, Any], words: str) -> None:
    state = {name: tensor for name, tensor in {**STATE, **changes}.items() if tensor is not None}
    with pytest.raises(DataError) as caught:
        check_state(state, EXPECTED, where="'a.pth'")
    assert words in str(caught.value)
    assert str(caught.value).startswith("'a.pth'")
