"""Where creatures go: a file in the format of its ending, or the standard output."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from chimera_core.cli._streams import stdout_for_bytes
from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import disk_trouble, quote
from chimera_core.fusing.sweeps import FPS, there_and_back
from chimera_core.images import check_output, write_gif
from chimera_core.images.formats import (
    FORMATS,
    GIF,
    MOVING_SUFFIXES,
    PNG,
    STILL_SUFFIXES,
    PictureFormat,
    check_quality,
    check_side,
    encode_picture,
    format_of,
    write_picture,
)

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8

FORMAT_NAMES = tuple(form.suffix.removeprefix(".") for form in FORMATS)
STDOUT = "-"


@dataclass(frozen=True)
class CreatureFile:
    """A place that was checked, and how a picture is written there.

    Args:
        path: the file; None: the standard output.
        form: the format.
        quality: of JPEG and WebP.
        stream: the standard output, while it is open.
    """

    path: Path | None
    form: PictureFormat
    quality: int | None
    stream: BinaryIO | None = None

    def numbered(self, count: int) -> list[CreatureFile]:
        """Name a file for each creature: ``out.png``, or ``out-1.png``, ``out-2.png`` ...

        Raises:
            ConfigError: if one of them cannot be written: "-1" may be what makes a name too long.
        """
        if count == 1 or self.path is None:
            return [self]
        paths = [self.path.with_stem(f"{self.path.stem}-{k}") for k in range(1, count + 1)]
        return [replace(self, path=check_output(path, self.form.suffixes)) for path in paths]

    @contextmanager
    def opened(self) -> Iterator[CreatureFile]:
        """Hold the standard output for the picture alone, if it goes there: whatever prints goes to stderr meanwhile."""
        if self.path is not None:
            yield self
            return
        with stdout_for_bytes() as stream:
            yield replace(self, stream=stream)

    def write(self, image: UInt8, text: Mapping[str, str]) -> None:
        """Write one picture, uint8 (H, W, 3) or (H, W, 4)."""
        if self.path is not None:
            write_picture(self.path, image, text=text, quality=self.quality)
        else:
            self._send(encode_picture(image, self.form, text=text, quality=self.quality))

    def write_moving(self, frames: Sequence[UInt8], text: Mapping[str, str]) -> str:
        """Write frames, uint8 (H, W, 3) each, there and back; gives a line for the user, or none."""
        moving = there_and_back(frames)
        if self.path is not None:
            return self._film(self.path, moving, text)
        with tempfile.TemporaryDirectory(prefix="chimera-") as folder:
            file = Path(folder, f"sweep{self.form.suffix}")
            line = self._film(file, moving, text)
            self._send(file.read_bytes())
        return line

    def _film(self, path: Path, frames: Sequence[Any], text: Mapping[str, str]) -> str:
        if self.form is GIF:
            write_gif(path, frames, fps=FPS, text=text)
            return ""
        from chimera_core.images.video import write_mp4

        return write_mp4(path, frames, fps=FPS, text=text)

    def _send(self, data: bytes) -> None:
        assert self.stream is not None
        try:
            self.stream.write(data)
            self.stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise RunError(f"cannot write to standard output: {disk_trouble(error)}") from None


def check_creature_file(
    output: str,
    form_name: str | None,
    quality: int | None,
    *,
    is_sweep: bool,
    count: int,
    is_transparent: bool,
    side: int,
) -> CreatureFile:
    """Check before long work where and how creatures are written.

    Args:
        output: a file, or ``-``.
        form_name: of ``FORMAT_NAMES``; None: the ending's, or PNG on the standard output.
        quality: 1 to 100; None: the format's own.
        is_sweep: whether there are frames.
        count: of creatures.
        is_transparent: whether the user asks for creatures without a background, which sheets and films do not keep.
        side: pixels that the longer side will have at least.
    Raises:
        ConfigError: naming what cannot be.
    """
    named = next((form for form in FORMATS if form_name and f".{form_name}" in form.suffixes), None)
    form = named or (PNG if output == STDOUT else format_of(output))
    if form is not None and form.moves and not is_sweep:
        raise ConfigError(
            f"output {quote(output)} would move, and one picture does not: add --sweep 9, or name a .png"
        )
    path = None
    if output == STDOUT:
        if count > 1:
            raise ConfigError(f"output '-' takes one picture, not {count}: name a file, or leave out --n")
    else:
        path = check_output(output, (*STILL_SUFFIXES, *(MOVING_SUFFIXES if is_sweep else ())))
        if named is not None and named is not format_of(path):
            raise ConfigError(f"output {quote(output)} and --format {form_name} contradict: leave one out")
    assert form is not None  # of another ending check_output complains
    if is_transparent and not form.has_alpha:
        able = " or ".join(each.suffix for each in FORMATS if each.has_alpha)
        raise ConfigError(
            f"{form.name} keeps no transparency: name a {able}, or leave out --background transparent"
        )
    if not form.moves:
        check_side(side, form)
    return CreatureFile(path, form, check_quality(quality, form))


def files_in_the_way(files: Sequence[CreatureFile]) -> list[os.PathLike[str]]:
    """List the paths among places."""
    return [file.path for file in files if file.path is not None]
