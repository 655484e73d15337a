"""The laws of image readers: each mutant breaks the very law that it is named for."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimera_core.api import ImageReader
from chimera_core.testing import check_reader
from chimera_core.testing.laws import reader as laws_of_readers

HEADER = struct.Struct("<3sHH")


def write(folder: Path) -> None:
    for name, height, width in (("large", 280, 300), ("small", 6, 9)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        (folder / f"{name}.raw").write_bytes(HEADER.pack(b"RAW", width, height) + pixels.tobytes())


class Raw(ImageReader):
    """The simplest format that there is."""

    def size(self, path: Path) -> tuple[int, int]:
        with path.open("rb") as file:
            magic, width, height = HEADER.unpack(file.read(HEADER.size))
        if magic != b"RAW":
            raise ValueError("not RAW")
        return width, height

    def read(self, path: Path) -> Any:
        width, height = self.size(path)
        data = path.read_bytes()[HEADER.size :]
        return np.frombuffer(data, np.uint8, 3 * width * height).reshape(height, width, 3)


class Swapped(Raw):
    def size(self, path: Path) -> tuple[int, int]:
        return super().size(path)[::-1]  # type: ignore[return-value]

    def read(self, path: Path) -> Any:
        return Raw(None).read(path)


class Floats(Raw):
    def read(self, path: Path) -> Any:
        return super().read(path) / 255


class Grey(Raw):
    def read(self, path: Path) -> Any:
        return super().read(path)[:, :, 0]


class Dark(Raw):
    def read(self, path: Path) -> Any:
        return (super().read(path) > 127).astype(np.uint8)


class ByName(Raw):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.known: dict[Path, Any] = {}

    def read(self, path: Path) -> Any:
        return self.known.setdefault(path, super().read(path))


class Noisy(Raw):
    def read(self, path: Path) -> Any:
        return super().read(path) ^ np.uint8(np.random.randint(2))


class Stamping(Raw):
    def read(self, path: Path) -> Any:
        read = super().read(path)
        with path.open("ab") as file:
            file.write(b"seen")
        return read


class Beside(Raw):
    def read(self, path: Path) -> Any:
        path.with_suffix(".cache").write_bytes(b"")
        return super().read(path)


class Decodes(Raw):
    def size(self, path: Path) -> tuple[int, int]:
        return self.read(path).shape[1::-1]  # type: ignore[no-any-return]

    def read(self, path: Path) -> Any:
        width, height = Raw.size(self, path)
        data = path.read_bytes()[HEADER.size :]
        return np.frombuffer(data, np.uint8, 3 * width * height).reshape(height, width, 3).copy()


class Believes(Raw):
    def size(self, path: Path) -> tuple[int, int]:
        width, height = super().size(path)
        canvas = np.zeros((height, width), np.uint8) if width > 1000 else np.zeros((1, 1))
        return width, height + 0 * canvas.shape[0]


class Fills(Raw):
    def read(self, path: Path) -> Any:
        width, height = self.size(path)
        data = path.read_bytes()[HEADER.size :]
        return np.frombuffer(data[: 3 * width * height], np.uint8).reshape(-1, width, 3)


class Ends(Raw):
    def read(self, path: Path) -> Any:
        try:
            return super().read(path)
        except ValueError:
            raise SystemExit("bad file") from None


class Hangs(Raw):
    def read(self, path: Path) -> Any:
        try:
            return super().read(path)
        except ValueError:
            time.sleep(2)


MUTANTS: dict[type[Raw], str] = {
    Floats: "reads-pictures",
    Grey: "reads-pictures",
    Swapped: "size-as-read",
    Dark: "whole-range",
    ByName: "the-same-again",
    Noisy: "the-same-again",
    Stamping: "files-stay",
    Beside: "files-stay",
    Decodes: "size-decodes-nothing",
    Believes: "huge-claims-cost-nothing",
    Fills: "broken-files-end",
    Ends: "broken-files-end",
    Hangs: "broken-files-end",
}


def broken(build: Any) -> dict[str, str]:
    outcomes = [law.outcome() for law in check_reader(build, write=write)]
    return {o.law.name: o.met for o in outcomes if o.verdict == "broken"}


def test_a_sound_reader_keeps_every_law_and_all_are_tried() -> None:
    outcomes = [law.outcome() for law in check_reader(lambda: Raw(None), write=write)]
    assert [(o.law.name, o.met) for o in outcomes if o.verdict != "kept"] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_breaks_its_law(mutant: type[Raw], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws_of_readers, "SECONDS", 0.2)
    assert list(broken(lambda: mutant(None))) == [MUTANTS[mutant]]


def test_what_is_no_reader_breaks_the_first_law_alone() -> None:
    assert broken(lambda: object()) == {"builds": "a object."}


def test_one_picture_is_not_enough_to_try_a_reader_on() -> None:
    laws = check_reader(lambda: Raw(None), write=lambda folder: (folder / "a.raw").write_bytes(b"RAW"))
    outcome = laws[1].outcome()
    assert outcome.verdict == "broken" and "two pictures or more, and 1 was written" in outcome.met
