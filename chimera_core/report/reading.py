"""Read ``comparison.json`` of a run, which may be a stranger's: checked as a whole, and without the folders of its paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import describe_folder, one_line, quote
from chimera_core.files.own_folders import inside
from chimera_core.files.text import read_json
from chimera_core.privacy import without_folders
from chimera_core.report.record import FILE, KIND, ComparisonRecord
from chimera_core.runs.record import read_run_record

MAX_BYTES = 1_000_000_000  # 50 fusers, 200 pairs, 5 weights and 3 seeds take about 120 MB
_PICTURES = ("image", "images")
_MEND = "run `chimera compare` again, it keeps the cells that are done"


def read_comparison(folder: Path) -> ComparisonRecord:
    """Read and check ``comparison.json`` of a run, without the folders of its paths.

    Raises:
        ConfigError: one line, if the folder is no comparison, or the file is missing, cut short or says what
            cannot be.
        DataError: if it is a link out of the folder.
    """
    path = inside(folder, FILE)
    try:
        # NaN means not measured.
        content = read_json(path, most_bytes=MAX_BYTES, mend=_MEND, constant=lambda _: None)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(_what_is_there(folder)) from None
    except DataError as error:
        raise ConfigError(f"{error}") from None
    try:
        comparison = ComparisonRecord.model_validate(_for_others(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(
            f"{quote(path)} is damaged: {one_line(where)}: {one_line(first['msg'])}: {_MEND}"
        ) from None
    _check_names(comparison, path)
    return comparison


def _for_others(content: Any) -> Any:
    """Leave folders out of all paths, but where two fusers would have one name then."""
    shortened = without_folders(content, keep=_PICTURES)
    if _names_in(shortened) == _names_in(content):
        return shortened
    return without_folders(content, keep=(*_PICTURES, "id", "label", "fuser", "tied_with", "a", "b"))


def _names_in(content: Any) -> int:
    """Count the names of fusers, in whatever form the file is."""
    fusers = content.get("fusers") if isinstance(content, dict) else None
    return (
        len({str(f.get("id")) for f in fusers or () if isinstance(f, dict)})
        if isinstance(fusers, list)
        else 0
    )


def _what_is_there(folder: Path) -> str:
    """Return what a folder without ``comparison.json`` is."""
    try:
        record = read_run_record(folder)
        shown = " ".join(record["command"])
    except (ChimeraError, KeyError, TypeError):
        return f"{quote(folder)} is not a comparison, {describe_folder(folder)}: name the folder of a `chimera compare`"
    if record.get("kind") == KIND:
        return f"the comparison {quote(folder)} has no {FILE} yet: {_MEND}"
    return f"{quote(folder)} is a run of {quote(one_line(shown, limit=60))}, no comparison: name one of `chimera compare`"


def _check_names(comparison: ComparisonRecord, path: Path) -> None:
    """Raise ConfigError if something names a fuser or parents that the file does not have."""
    fusers = {fuser.id for fuser in comparison.fusers}
    tuples = {tuple_.id: len(tuple_.labels) for tuple_ in comparison.tuples}
    named = [place.fuser for place in comparison.ranking] + [sweep.fuser for sweep in comparison.sweeps]
    named += [other for place in comparison.ranking for other in place.tied_with]
    named += [cell.fuser for cell in comparison.cells] + [
        one for test in comparison.tests for one in (test.a, test.b)
    ]
    wrong = next((name for name in named if name not in fusers), None)
    if wrong is not None:
        raise ConfigError(f"{quote(path)} is damaged: it knows no fuser {quote(wrong[:100])}: {_MEND}")
    if len(fusers) != len(comparison.fusers) or len(tuples) != len(comparison.tuples):
        raise ConfigError(f"{quote(path)} is damaged: two fusers or two tuples share an id: {_MEND}")
    for cell in comparison.cells:
        if cell.tuple not in tuples:
            raise ConfigError(f"{quote(path)} is damaged: it knows no tuple {cell.tuple}: {_MEND}")
        if len(cell.weights) != tuples[cell.tuple]:
            raise ConfigError(
                f"{quote(path)} is damaged: cell {quote(cell.id[:100])} has {len(cell.weights)} weights for "
                f"{tuples[cell.tuple]} parents: {_MEND}"
            )
