"""The laws of a reader of image files, tried on files that its author writes, and on broken ones made of these."""

from __future__ import annotations

import random
import struct
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chimera_core.errors import ConfigError, DataError
from chimera_core.images.limits import MAX_PIXELS
from chimera_core.images.readers import PluginReader
from chimera_core.interfaces.additions import ImageReader
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.testing.laws.randomness import seed_everything
from chimera_core.testing.laws.subject import Once, describe

PAGE = "reference/hooks.md#imagereader"
SECONDS = 10.0
"""How long a broken file of a few kilobytes may take."""
_HUGE = (10_000, 7_000)  # fits into 16 bits, and is 70 million pixels
_SPARE = 32 << 20  # bytes that any call may take
_PER_PIXEL = 64  # bytes, with copies and wider types
_TELLING = 1 << 16  # pixels by which decoding shows in memory
_DAMAGED_SIDE = 2048 * 2048  # pixels up to which a broken header's promise is tried out


def check_reader(
    build: Callable[[], ImageReader],
    *,
    write: Callable[[Path], object],
    suffixes: Sequence[str] = (),
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of a reader of image files, to be tried one by one.

    Args:
        build: makes it; called at the first law that is tried.
        write: writes two pictures or more into an empty folder. One of 256 x 256 pixels or more shows whether ``size``
            decodes; width and height that differ, and stand in the header, show what a huge claim costs.
        suffixes: of the pictures; none: all that is written is one.
        expected_failures: by the law's name, why this reader does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(ReaderLaws(build, write, suffixes), expected_failures)


class ReaderLaws:
    """What is asked of a reader of image files."""

    def __init__(
        self, build: Callable[[], ImageReader], write: Callable[[Path], object], suffixes: Sequence[str]
    ) -> None:
        self._build, self._write, self._suffixes = build, write, suffixes

    @cached_property
    def _reader(self) -> Once[ImageReader]:
        return Once(self._build, "it cannot be built")

    @cached_property
    def _written(self) -> Once[list[Path]]:
        return Once(self._write_files, "there are no pictures to try it on")

    @cached_property
    def _decoded(self) -> Once[list[NDArray[Any]]]:
        return Once(lambda: [self._reader().read(file) for file in self._written()], "it reads no pictures")

    def _write_files(self) -> list[Path]:
        self._folder = tempfile.TemporaryDirectory(prefix="chimera-check-")  # it goes with this object
        folder = Path(self._folder.name, "pictures")
        folder.mkdir()
        self._write(folder)
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        files = [p for p in files if not self._suffixes or p.suffix in self._suffixes]
        if len(files) < 2:
            raise ConfigError(f"a reader is tried on two pictures or more, and {len(files)} was written")
        return files

    def _sound(self) -> list[NDArray[Any]]:
        decoded = self._decoded()
        if any(_fault_of(picture) for picture in decoded):
            raise NotTriedError("what it reads is no picture")
        return decoded

    @law(PAGE)
    def builds(self) -> str | None:
        """Its constructor takes the options, and makes an ImageReader."""
        reader: Any = self._reader.first()
        return None if isinstance(reader, ImageReader) else f"{describe(reader)}."

    @law(PAGE)
    def reads_pictures(self) -> str | None:
        """It reads its pictures as uint8 (H, W, 3), or (H, W, 4) with opacity."""
        self._reader()
        self._written.first()
        faults = map(_fault_of, self._decoded.first())
        return next((f"{fault}." for fault in faults if fault), None)

    @law(PAGE, after=("reads_pictures",))
    def size_as_read(self) -> str | None:
        """``size`` gives width and height as ``read`` does, in that order."""
        for file, picture in zip(self._written(), self._sound(), strict=True):
            given: Any = self._reader().size(file)
            height, width = picture.shape[:2]
            if not isinstance(given, Sequence) or tuple(given) != (width, height):
                return f"size {given!r} of a picture {width} x {height}."
        return None

    @law(PAGE, after=("reads_pictures",))
    def whole_range(self) -> str | None:
        """Colours go from 0 to 255."""
        highest = max(int(picture[:, :, :3].max()) for picture in self._sound())
        return f"{highest} is the brightest value in all pictures." if highest <= 1 else None

    @law(PAGE, after=("reads_pictures",))
    def the_same_again(self) -> str | None:
        """The bytes of a file alone decide its pixels: not its name, what was read before, nor the global generators."""
        pictures, files = self._sound(), self._written()
        place = self._place() / f"again{files[0].suffix}"
        for seed, (file, picture) in enumerate(zip(files, pictures, strict=True)):
            seed_everything(seed)
            for reader, where in ((self._reader(), "again"), (self._build(), "by another reader")):
                place.write_bytes(file.read_bytes())
                read = reader.read(place)
                if read.shape != picture.shape or not np.array_equal(read, picture):
                    return f"other pixels of {file.name} when its bytes are read {where} under another name."
        return None

    @law(PAGE, after=("reads_pictures",))
    def files_stay(self) -> str | None:
        """It changes no file, and writes none."""
        self._sound()
        for file in self._written():
            place = self._place()
            copy = place / file.name
            copy.write_bytes(file.read_bytes())
            self._reader().size(copy)
            self._reader().read(copy)
            if [p.name for p in place.iterdir()] != [file.name]:
                return f"{sorted(p.name for p in place.iterdir())} where {file.name} was alone."
            if copy.read_bytes() != file.read_bytes():
                return f"{file.name} has other bytes than before."
        return None

    @law(PAGE, after=("size_as_read",))
    def size_decodes_nothing(self) -> str | None:
        """``size`` reads the header: it takes less memory than the pixels would."""
        pictures = self._sound()
        k = max(range(len(pictures)), key=lambda k: pictures[k].size)
        pixels = pictures[k].size // pictures[k].shape[2]
        if pixels < _TELLING:
            raise NotTriedError("its pictures are too small to tell: write one of 256 x 256 pixels or more")
        self._reader().size(self._written()[k])  # what it imports comes now
        with _peak() as taken:
            self._reader().size(self._written()[k])
        return f"{taken[0]:,} bytes for {pixels:,} pixels." if taken[0] >= pixels else None

    @law(PAGE, after=("size_as_read",))
    def huge_claims_cost_nothing(self) -> str | None:
        """A header that claims more pixels than are allowed is refused before anything is decoded."""
        forged = list(self._forged())
        if not forged:
            raise NotTriedError("no header could be found that claims more than it should")
        for file in forged:
            watched = _Watched(self._reader())
            with _peak() as taken:
                try:
                    PluginReader("reader", "", lambda w=watched: w).pixels(file)  # type: ignore[misc]
                except DataError:
                    pass
                else:
                    return f"a picture from a header of {_HUGE[0]:,} x {_HUGE[1]:,} pixels."
            if watched.has_read or taken[0] > _SPARE:
                return f"{taken[0]:,} bytes, and read is{'' if watched.has_read else ' not'} called."
        return None

    @law(PAGE, after=("size_as_read",))
    def broken_files_end(self) -> str | None:
        """Of a broken file it raises an error or gives a picture of the size it promised, in little time and memory."""
        self._sound()
        file = min(self._written(), key=lambda p: p.stat().st_size)
        place = self._place() / f"broken{file.suffix}"
        for how, data in _broken(file.read_bytes()):
            place.write_bytes(data)
            if fault := self._end_of(place):
                return f"{fault} from a file {how}."
        return None

    def _end_of(self, file: Path) -> str:
        """Read a broken file in a thread of its own, which may be left behind; give what is wrong with how it ended."""
        found = [f"nothing within {SECONDS:g} s"]
        reader = self._reader()

        def read() -> None:
            try:
                found[0] = _read_broken(reader, file)
            except MemoryError:
                found[0] = "MemoryError"
            except Exception:  # plugin border: an error is how it should end
                found[0] = ""
            except BaseException as error:
                found[0] = f"{type(error).__name__}, which ends the process,"

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(SECONDS)
        return found[0]

    def _forged(self) -> Iterator[Path]:
        """Write copies of the first picture whose width and height are replaced by huge ones, where these stand."""
        self._sound()
        file = self._written()[0]
        width, height = self._reader().size(file)
        data = file.read_bytes()
        place = self._place()
        for k, code in enumerate(_CODES):
            head = data[:4096]
            wide, high = code(width), code(height)
            at = head.find(wide)
            below = head.find(high, at + len(wide)) if at >= 0 else -1
            if below < 0:  # some formats name the height first
                at, below = head.find(high), head.find(wide, head.find(high) + len(high))
                wide, high = high, wide
            if at < 0 or below < 0:
                continue
            new = (code(_HUGE[0]), code(_HUGE[1]))
            between = data[at + len(wide) : below]
            forged = place / f"huge-{k}{file.suffix}"
            forged.write_bytes(data[:at] + new[0] + between + new[1] + data[below + len(high) :])
            try:
                given = tuple(self._reader().size(forged))
            except Exception:  # plugin border: it refuses the header itself, or these were other bytes
                continue
            if given in (_HUGE, _HUGE[::-1]):
                yield forged

    def _place(self) -> Path:
        self._written()
        return Path(tempfile.mkdtemp(dir=self._folder.name))


class _Watched(ImageReader):
    """A reader that notes whether it was asked to decode."""

    def __init__(self, reader: ImageReader) -> None:
        self._reader, self.has_read = reader, False

    def size(self, path: Path) -> tuple[int, int]:
        return self._reader.size(path)

    def read(self, path: Path) -> NDArray[np.uint8]:
        self.has_read = True
        return np.zeros((1, 1, 3), np.uint8)


def _read_broken(reader: ImageReader, file: Path) -> str:
    with _peak() as taken:
        width, height = map(int, reader.size(file))
    if taken[0] > _SPARE:
        return f"size takes {taken[0]:,} bytes"
    if not 0 < width * height <= min(MAX_PIXELS, _DAMAGED_SIDE):
        return ""  # the host refuses it, or could read it with time
    with _peak() as taken:
        picture = reader.read(file)
    if taken[0] > _SPARE + _PER_PIXEL * width * height:
        return f"{taken[0]:,} bytes for {width} x {height} pixels"
    if _fault_of(picture) or picture.shape[:2] != (height, width):
        return f"{_fault_of(picture) or picture.shape} where size gave {width} x {height}"
    return ""


def _fault_of(picture: Any) -> str:
    """Say what is met that is no picture; empty if it is one."""
    if not isinstance(picture, np.ndarray):
        return describe(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or 0 in picture.shape:
        return f"{picture.dtype} {picture.shape}"
    return ""


def _broken(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Break a file: cut short, with wrong bytes, and of nothing but noise."""
    draw = random.Random(0)
    for length in sorted({1, 2, 4, 8, 12, 16, 24, *(len(data) * k // 8 for k in range(1, 8)), len(data) - 1}):
        if 0 < length < len(data):
            yield f"cut to {length} of {len(data)} bytes", data[:length]
    for k in range(24):
        at = draw.randrange(min(len(data), 40 if k % 2 else len(data)))
        value = draw.choice([0, 0xFF, data[at] ^ 1 << draw.randrange(8)])
        yield f"whose byte {at} is {value}", data[:at] + bytes([value]) + data[at + 1 :]
    yield "of noise after its first 8 bytes", data[:8] + draw.randbytes(1000)


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Give the most memory that Python and numpy took meanwhile, in bytes, once it is over."""
    taken = [0]
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        yield taken
    finally:
        taken[0] = max(0, tracemalloc.get_traced_memory()[1] - before)
        if not was_tracing:
            tracemalloc.stop()


def _packed(form: str) -> Callable[[int], bytes]:
    return lambda number: struct.pack(form, number)


_CODES: tuple[Callable[[int], bytes], ...] = (
    *(_packed(form) for form in (">I", "<I", ">H", "<H")),
    lambda number: str(number).encode(),
)
"""How headers spell a number."""
