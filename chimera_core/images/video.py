"""Moving pictures as MP4, by whichever writer is there: ffmpeg on the PATH, else the one in OpenCV."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import RunError, ShapeError
from chimera_core.files.atomic import AnyPath, atomic_path, one_line, quote
from chimera_core.images.notes import mp4_box_of
from chimera_core.images.writing import check_pixels

if TYPE_CHECKING:
    from chimera_core.images.upright import UInt8

_LONGEST_S = 600.0


def write_mp4(
    path: AnyPath, frames: Sequence[UInt8], *, fps: float, text: Mapping[str, str] | None = None
) -> str:
    """Write frames as an MP4, whole or not at all.

    ffmpeg writes H.264, which every player knows. OpenCV writes MPEG-4 part 2, which browsers do not play. The notes
    come after what either wrote, as XMP; ffmpeg writes them as a comment, too, which players show.

    Args:
        path: the file; an older one is replaced.
        frames: uint8 (H, W, 3) each, of one size. An odd side gets its last line twice: video counts in pairs.
        fps: frames per second.
        text: notes kept inside the file; ``read_notes`` reads them.
    Returns:
        Who wrote it, in words for the user.
    Raises:
        ShapeError: if there is no frame, or one has another shape or dtype.
        RunError: if the writer fails, or the disk refuses.
    """
    if not frames:
        raise ShapeError("a film of no frames: pass at least one")
    for k, frame in enumerate(frames):
        check_pixels(frame, f"frame {k}", channels=(3,))
        if frame.shape != frames[0].shape:
            raise ShapeError(f"frame {k} is {frame.shape} but frame 0 is {frames[0].shape}: make them equal")
    even = [_even(frame) for frame in frames]
    with atomic_path(path) as temporary:
        program = shutil.which("ffmpeg")
        trouble = _by_ffmpeg(program, temporary, even, fps, text or {}) if program else "it is not installed"
        if trouble:
            temporary.write_bytes(_by_opencv(even, fps, quote(path)))
        if text:
            with temporary.open("ab") as file:
                file.write(mp4_box_of(text))
    if not trouble:
        return "H.264, by ffmpeg"
    return f"MPEG-4 part 2, by OpenCV, which browsers do not play: for H.264 install ffmpeg ({trouble})"


def _by_ffmpeg(
    program: str, target: Path, frames: Sequence[UInt8], fps: float, text: Mapping[str, str]
) -> str:
    """Return why it did not work; empty if it did."""
    height, width = frames[0].shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "16", "-movflags", "+faststart"]
    notes = ["-metadata", f"comment={json.dumps(text)}"] if text else []
    command = [program, "-v", "error", *source, *coded, *notes, "-f", "mp4", "-y", str(target)]
    try:
        done = subprocess.run(
            command,
            input=b"".join(frame.tobytes() for frame in frames),
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return one_line(error, limit=160)
    if done.returncode == 0 and target.stat().st_size:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return one_line(lines[-1] if lines else f"it ended with {done.returncode}", limit=160)


def _by_opencv(frames: Sequence[UInt8], fps: float, name: str) -> bytes:
    import cv2

    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="chimera-") as folder:
        file = Path(folder, "film.mp4")  # the ending tells OpenCV what to write
        code: Any = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(file), code, fps, (width, height))
        if not writer.isOpened():
            raise RunError(f"no MP4 can be written to {name}: install ffmpeg, or name a .gif")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return file.read_bytes()


def _even(frame: UInt8) -> UInt8:
    import numpy as np

    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
