"""How well pictures show head and body: measured once per picture and kept in the user's cache."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.errors import ChimeraError, DataError, PluginError, RunError
from chimera_core.files.atomic import write_text_atomic
from chimera_core.files.own_folders import make_folder
from chimera_core.files.text import read_json_table
from chimera_core.images import READING, read_picture

if TYPE_CHECKING:
    from chimera_core.interfaces.components import FeatureEncoder
    from chimera_core.plugins.discovery import PluginHost

MOST_REMEMBERED = 10_000
# Version of the measurement: scores of an older one are measured again.
_VERSION = 2
# As files of older versions have it.
_KEY = "merits"
_MOST_BYTES = 16 * 2**20
# With its plugin, so that a stranger's namesake does not get in the way.
_ENCODER = "timm:timm"
# What the measurement reads besides the encoder; newer weights give other scores.
_WEIGHTS = ("outline.safetensors", "head.safetensors", "cuts.safetensors")

OpenProgress = Callable[[], AbstractContextManager[Callable[[float, float], None]]]
"""Opens progress, and gives what is called with (done, total)."""

_log = logging.getLogger(__name__)


class VisibilityCache:
    """Gives visibility scores of pictures, in [0, 1] (``subjects/visibility.py``), for ``rank_pictures``.

    They are remembered in one JSON file under path, size and time of change, so a picture is looked at once. Looks are
    made on the CPU, whatever the fuser's device: the order should not depend on the machine.

    Args:
        file: where scores are remembered. It need not exist; one that is broken counts as none.
        showing: opens progress, where there is something new to look at.
    """

    def __init__(self, file: Path, *, showing: OpenProgress | None = None) -> None:
        self.file = file
        self._showing = showing or (lambda: nullcontext(lambda done, total: None))
        self._encoder: FeatureEncoder | None = None

    @classmethod
    def of(cls, host: PluginHost, *, showing: OpenProgress | None = None) -> VisibilityCache:
        """Remember in the folder that ``CHIMERA_CACHE`` names."""
        return cls(host.settings.path("cache") / "looked-at" / "pictures.json", showing=showing)

    def __call__(self, pictures: Sequence[Path]) -> list[float | None]:
        """Give the score of each picture; None where it cannot be a parent, and where nothing could look."""
        from chimera_core.data.fingerprint import stamp_files
        from chimera_core.files.hashing import digest_of

        # Before the look: a picture that changes meanwhile is looked at again. Hashed, because paths are private.
        stamps = {picture: digest_of(stamp_files([picture])[0])[:32] for picture in pictures}
        known = self._read()
        new = [picture for picture in stamps if stamps[picture] not in known]
        if new:
            found = {stamps[picture]: score for picture, score in self._look(new).items()}
            known |= found
            self._write(found)
        return [known.get(stamps[picture]) for picture in pictures]

    def _look(self, pictures: Sequence[Path]) -> dict[Path, float]:
        """Look at pictures; those that cannot be read are left out, and so are tried again another time."""
        found = {}
        with self._showing() as report:
            for k, picture in enumerate(pictures):
                try:
                    found[picture] = self._score(picture)
                except DataError as error:
                    _log.debug("not looked at: %s", error)
                except PluginError as error:
                    _log.warning("of pictures the largest are taken, without a look at them: %s", error)
                    break
                report(k + 1, len(pictures))
        return found

    def _score(self, path: Path) -> float:
        picture = read_picture(path)
        from chimera_core.subjects.visibility import measure_visibility

        if self._encoder is None:
            self._encoder = _load_encoder()
        return round(measure_visibility(self._encoder, picture).score, 6)

    def _read(self) -> dict[str, float]:
        """Read what is remembered; nothing of a file that is broken, foreign, or by other weights."""
        try:
            stored = read_json_table(self.file, most_bytes=_MOST_BYTES)
        except (OSError, DataError):
            return {}
        if stored.get("by") != _measure():
            return {}
        scores = stored.get(_KEY)
        return {k: float(v) for k, v in scores.items() if _is_score(v)} if isinstance(scores, dict) else {}

    def _write(self, new: Mapping[str, float]) -> None:
        """Add scores to the file, which another process may have written since; the oldest make room."""
        if not new:
            return
        scores = {key: score for key, score in self._read().items() if key not in new} | dict(new)
        kept = dict(list(scores.items())[-MOST_REMEMBERED:])
        try:
            make_folder(self.file.parent)
            write_text_atomic(self.file, json.dumps({"by": _measure(), _KEY: kept}, indent=0))
        except RunError as error:
            _log.warning("what pictures show is not remembered: %s", error)


def _load_encoder() -> FeatureEncoder:
    """Load the default encoder.

    Raises:
        PluginError: if it is not to be had. A fuser that needs it will say so; others need none.
    """
    from chimera_core.models.encoders import load_encoder

    try:
        return load_encoder(_ENCODER).requires_grad_(False)
    except ChimeraError as error:
        raise PluginError(str(error)) from error


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


@cache
def _measure() -> str:
    """Name what scores are measured by."""
    from importlib import resources

    from chimera_core.files.hashing import digest_of, hash_file

    folder = resources.files("chimera_core.subjects") / "weights"
    with resources.as_file(folder) as path:
        return digest_of([_VERSION, READING, *(hash_file(path / name) for name in _WEIGHTS)])[:16]
