"""Pictures on which ``chimera plugins check`` and the tests try the reader."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chimera_qoi.reader import HEADER


def draw_pictures() -> dict[str, NDArray[np.uint8]]:
    """Draw a large picture with flat and smooth parts, and a small one with noise and opacity."""
    down, right = np.mgrid[0:240, 0:320]
    large = np.stack([right * 255 // 319, down, np.where(right < 160, 200, right + down)], axis=2) % 256
    small = np.random.default_rng(0).integers(0, 256, (24, 36, 4))
    return {"large": large.astype(np.uint8), "small": small.astype(np.uint8)}


def write_pictures(folder: Path) -> dict[str, str]:
    """Write them, and give the options that read them: none."""
    for name, pixels in draw_pictures().items():
        (folder / f"{name}.qoi").write_bytes(encode(pixels))
    return {}


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3 or 4), with every kind of chunk that there is."""
    height, width, channels = pixels.shape
    data = bytearray(HEADER.pack(b"qoif", width, height, channels, 0))
    opaque = np.full((height, width, 1), 255, np.uint8)
    rgba = pixels if channels == 4 else np.concatenate([pixels, opaque], axis=2)
    seen, last, run = [(0, 0, 0, 0)] * 64, (0, 0, 0, 255), 0
    for pixel in map(tuple, rgba.reshape(-1, 4).tolist()):
        if pixel == last:
            run += 1
            if run < 62:
                continue
        if run:
            data.append(0xC0 | run - 1)
            run = 0
        if pixel == last:
            continue
        place = (3 * pixel[0] + 5 * pixel[1] + 7 * pixel[2] + 11 * pixel[3]) % 64
        red, green, blue = ((new - old + 128) % 256 - 128 for new, old in zip(pixel[:3], last, strict=False))
        if seen[place] == pixel:
            data.append(place)
        elif pixel[3] != last[3]:
            data += bytes([0xFF, *pixel])
        elif all(-2 <= step < 2 for step in (red, green, blue)):
            data.append(0x40 | red + 2 << 4 | green + 2 << 2 | blue + 2)
        elif -32 <= green < 32 and all(-8 <= step - green < 8 for step in (red, blue)):
            data += bytes([0x80 | green + 32, red - green + 8 << 4 | blue - green + 8])
        else:
            data += bytes([0xFE, *pixel[:3]])
        seen[place] = last = pixel
    if run:
        data.append(0xC0 | run - 1)
    return bytes(data) + bytes(7) + b"\1"
