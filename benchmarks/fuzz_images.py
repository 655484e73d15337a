"""Thousands of damaged images through reading: counts by format and outcome, the slowest and the greediest.

Run: python benchmarks/fuzz_images.py [--files 2000] [--seed 0]

The law: an image or a ``DataError``, never another exception, never over 1 GB of memory or 5 s each. Seconds are the
process's own CPU time, so that a busy machine does not count; memory is the peak beyond what was there before. The seeds and
byte-wise mutations are those of tests/chimera_core/images/test_images.py, which runs 360 files; here a third of the files
gets another size written into its header too. At the end come whole pictures as large as the limit allows.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import logging
import random
import struct
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimera_core.errors import DataError
from chimera_core.images import MAX_PIXELS, read_picture

FORMATS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"BM": "BMP",
    b"\0\0\0\x0cjP": "JP2",
    b"\0\0\0": "AVIF",
}
# As large as may be read, and not quite square; then lines, nothing, and too large.
SIZES = [(8_000, 8_000), (20_000, 3_200), (1_000, 64_000), (65_535, 1), (1, 65_535), (0, 7), (40_000, 40_000)]
LIMIT_BYTES, LIMIT_S = 1 << 30, 5.0


def main() -> None:
    """Print the table; end with 1 if the law is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tests = _load_tests()
    seeds = [s for s in tests.fuzz_seeds() if _format(s)]
    dice = random.Random(given.seed)
    counts: Counter[tuple[str, str]] = Counter()
    worst_s, worst_bytes = (0.0, ""), (0, "")
    wrong: list[str] = []
    logging.disable()  # of profiles that cannot be used
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder) / "x"
        read_once(path, seeds[0])  # what the first reading imports is not the file's
        for index in range(given.files):
            seed = seeds[index % len(seeds)]
            data = tests.mutate(seed, dice)
            if index % 3 == 0:
                data = resized(seed if index % 2 else data, dice.choice(SIZES))
            outcome, wall_s, peak = read_once(path, data)
            counts[_format(seed), outcome] += 1
            name = f"{_format(seed)} file {index}"
            worst_s, worst_bytes = max(worst_s, (wall_s, name)), max(worst_bytes, (peak, name))
            if outcome not in ("image", "DataError") or wall_s > LIMIT_S or peak > LIMIT_BYTES:
                wrong.append(f"{name}: {outcome}, {wall_s:.2f} s, {peak / 2**20:.0f} MiB")
        print(f"{'format':8}{'image':>8}{'DataError':>11}{'other':>7}")
        for name in sorted({_format(s) for s in seeds}):
            other = sum(
                n for (kind, o), n in counts.items() if kind == name and o not in ("image", "DataError")
            )
            print(f"{name:8}{counts[name, 'image']:8}{counts[name, 'DataError']:11}{other:7}")
        print(
            f"slowest {worst_s[0]:.2f} s ({worst_s[1]}); most memory {worst_bytes[0] / 2**20:.0f} MiB ({worst_bytes[1]})"
        )
        print("\nwhole pictures at the limit of pixels")
        for name, data in largest():
            outcome, wall_s, peak = read_once(path, data)
            print(f"{name:12}{len(data):>12,} bytes  {outcome:10} {wall_s:6.2f} s {peak / 2**20:7.0f} MiB")
            if outcome not in ("image", "DataError") or wall_s > LIMIT_S or peak > LIMIT_BYTES:
                wrong.append(f"largest {name}: {outcome}, {wall_s:.2f} s, {peak / 2**20:.0f} MiB")
    print(
        f"\n{given.files} files, seed {given.seed}: " + ("the law holds" if not wrong else "\n".join(wrong))
    )
    raise SystemExit(1 if wrong else 0)


def read_once(path: Path, data: bytes) -> tuple[str, float, int]:
    """Read one file: (outcome, CPU seconds, bytes of memory beyond what the process had)."""
    path.write_bytes(data)
    before = reset_peak()
    start = time.process_time()
    try:
        picture = read_picture(path)
        outcome = "image" if picture.rgb.dtype == np.uint8 and picture.rgb.ndim == 3 else "no pixels"
        del picture
    except DataError as error:
        outcome = "DataError" if str(error).isprintable() else "unprintable"
    except Exception as error:
        traceback.print_exc()
        outcome = type(error).__name__
    return outcome, time.process_time() - start, peak_beyond(before)


def reset_peak() -> int:
    """Forget the most memory that the process had (Linux), and give what it has, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def peak_beyond(before: int) -> int:
    """Give the most memory since ``reset_peak``, beyond what there was."""
    return _memory("VmHWM") - before


def resized(data: bytes, size: tuple[int, int]) -> bytes:
    """Write another size into the header."""
    width, height = size
    body = bytearray(data)
    kind = _format(data)
    if kind == "PNG" and len(body) > 33:
        body[16:24] = struct.pack(">II", width, height)
        body[29:33] = struct.pack(">I", zlib.crc32(body[12:29]))
    elif kind == "JPEG":
        at = max(body.find(b"\xff\xc0"), body.find(b"\xff\xc2"))
        if at >= 0:
            body[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    elif kind == "GIF":
        body[6:10] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
        at = body.find(b",\0\0\0\0")
        if at >= 0:
            body[at + 5 : at + 9] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    elif kind == "BMP":
        body[18:26] = struct.pack("<ii", width, height)
    elif kind == "WebP":
        at = body.find(b"VP8 ")
        if at >= 0:
            body[at + 14 : at + 18] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    elif kind == "TIFF":
        for tag, value in ((256, width), (257, height)):
            for form in (3, 4):
                at = body.find(struct.pack("<HHI", tag, form, 1))
                if at >= 0:
                    body[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    return bytes(body)


def largest() -> list[tuple[str, bytes]]:
    """Save whole pictures of as many pixels as are read, in the modes that need most."""
    side = int(MAX_PIXELS**0.5)
    saves: list[tuple[str, str, str, dict[str, Any]]] = [
        ("PNG RGBA", "RGBA", "PNG", {}),
        ("PNG 16 bit", "I;16", "PNG", {}),
        ("PNG 1 bit", "1", "PNG", {}),
        ("JPEG", "RGB", "JPEG", {}),
        ("JPEG CMYK", "CMYK", "JPEG", {}),
        ("GIF", "P", "GIF", {"transparency": 0}),
        ("TIFF float", "F", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("BMP", "RGB", "BMP", {}),
    ]
    found = []
    for name, mode, kind, options in saves:
        buffer = io.BytesIO()
        Image.new(mode, (side, side)).save(buffer, kind, **options)
        found.append((name, buffer.getvalue()))
    return found


def _format(data: bytes) -> str:
    return next((name for head, name in FORMATS.items() if data.startswith(head)), "")


def _memory(field: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


def _load_tests() -> Any:
    path = Path(__file__).resolve().parents[1] / "tests" / "chimera_core" / "images" / "test_images.py"
    spec = importlib.util.spec_from_file_location("test_images", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
