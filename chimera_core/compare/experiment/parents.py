"""The parents of an experiment: files as they are, and images of classes drawn once, so that all fusers get the same."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.compare.experiment.file import ExperimentFile
from chimera_core.compare.experiment.identity import file_hash, hash_of
from chimera_core.data.split_names import TRAIN_NAMES, VAL_NAMES
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import quote, spell_paths, write_text_atomic
from chimera_core.files.names import spelled_in
from chimera_core.files.own_folders import inside, make_folder
from chimera_core.files.text import LARGE_BYTES, read_json_table
from chimera_core.fusing.weights import check_weights
from chimera_core.images import check_picture
from chimera_core.models.fusers import is_class_name
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import PluginHost

if TYPE_CHECKING:
    from chimera_core.interfaces.components import DatasetSource

FOLDER = "parents"
_DRAWN = "drawn.json"
ANY_SEED = -1


@dataclass(frozen=True)
class Slot:
    """One parent of a tuple: a photograph, a class, or an image of a class.

    ``files`` are its images by the seed of the creature; ``ANY_SEED`` stands for all seeds. Empty: only its name is
    known.
    """

    label: str
    class_name: str | None
    files: Mapping[int, Path]

    def file(self, seed: int) -> Path | None:
        """Give its image for a creature of a seed."""
        return self.files.get(seed, self.files.get(ANY_SEED))


@dataclass(frozen=True)
class ParentTuple:
    """Parents that are fused together. ``is_drawn``: its images were drawn, so that others have the same classes."""

    id: int
    slots: tuple[Slot, ...]
    is_drawn: bool = False

    @property
    def labels(self) -> list[str]:
        """What the parents are called."""
        return [slot.label for slot in self.slots]


def check_tuples(file: ExperimentFile) -> list[tuple[str, ...]]:
    """Find the files of the tuples, beside the experiment or where the command was called, and check them.

    Returns:
        Tuples of paths and names of classes; empty where they are drawn.
    Raises:
        ConfigError: with file and line, if a picture is missing or unreadable.
    """
    table, found = file.parents, []
    for index, named in enumerate(table.tuples):
        parents = []
        for position, name in enumerate(named):
            place = ("parents", "tuples", index, position)
            path = _located(name, file.toml.path.parent)
            if path is None and is_class_name(name):
                parents.append(name)
                continue
            try:
                check_picture(path or Path(name))
            except ChimeraError as error:
                raise file.error(error, *place[:3]) from None
            parents.append(str(path or name))
        found.append(tuple(parents))
    return found


def check_weights_fit(file: ExperimentFile) -> None:
    """Check that every list of weights fits every tuple.

    Raises:
        ConfigError: naming the weights, with file and line.
    """
    sizes = {len(named) for named in file.parents.tuples} or {2}
    for size in sorted(sizes):
        for index, weights in enumerate(file.top.weights):
            try:
                check_weights(weights, size)
            except ConfigError as error:
                raise file.error(error, "weights", index) from None


def make_tuples(
    file: ExperimentFile, host: PluginHost, named: Sequence[tuple[str, ...]], folder: Path
) -> list[ParentTuple]:
    """Give the tuples with their images, drawing what is to be drawn into ``folder``; what lies there is kept.

    Args:
        named: of ``check_tuples``.
    Raises:
        ConfigError, DataError, PluginError: if the source or a class is not to be had.
    """
    if file.parents.source is None:
        return [ParentTuple(k, tuple(_plain(name) for name in parents)) for k, parents in enumerate(named)]
    key = hash_of([file.parents.model_dump(mode="json"), list(file.top.seeds), named])
    record = _kept(folder / FOLDER / _DRAWN, key, named)
    if record is None:
        try:
            record = _draw(file, host, named, folder / FOLDER)
        except ChimeraError as error:
            raise file.error(error, "parents") from None
        write_text_atomic(
            folder / FOLDER / _DRAWN, json.dumps({"key": key, "tuples": record}, indent=1) + "\n"
        )
    tuples = []
    for k, slots in enumerate(record):
        made = (
            Slot(
                label=s["label"],
                class_name=s["class_name"],
                files={
                    int(seed): _place(folder / FOLDER, f["file"], named) for seed, f in s["files"].items()
                },
            )
            for s in slots
        )
        tuples.append(ParentTuple(k, tuple(made), is_drawn=file.parents.sample is not None))
    return tuples


def _plain(name: str) -> Slot:
    path = Path(name)
    if path.is_file():
        return Slot(path.stem, None, {ANY_SEED: path})
    return Slot(name, name, {})


def _place(folder: Path, name: str, named: Sequence[tuple[str, ...]]) -> Path:
    """Return where a picture of the record lies: where the experiment names it, else in the folder of the drawn ones."""
    if any(name in parents for parents in named):
        return Path(name)
    return inside(folder.parent, Path(folder.name, name))


def _located(name: str, beside: Path) -> Path | None:
    for path in (Path(os.path.expanduser(name)), beside / name):
        if path.is_file():
            return path.resolve()
    return None


def _kept(path: Path, key: str, named: Sequence[tuple[str, ...]]) -> list[Any] | None:
    """Read what was drawn before, if it still holds: the same asked for, and no file changed."""
    try:
        record = read_json_table(_place(path.parent, path.name, ()), most_bytes=LARGE_BYTES)
        if record["key"] != key:
            return None
        for slots in record["tuples"]:
            for slot in slots:
                for drawn in slot["files"].values():
                    if file_hash(_place(path.parent, drawn["file"], named)) != drawn["hash"]:
                        return None
                    origin = drawn["origin"]
                    if origin is not None and _stamp(Path(origin["path"])) != origin["stamp"]:
                        return None
    except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    tuples: list[Any] = record["tuples"]
    return tuples


def _stamp(path: Path) -> list[int]:
    info = path.stat()
    return [info.st_size, info.st_mtime_ns]


def _draw(
    file: ExperimentFile, host: PluginHost, named: Sequence[tuple[str, ...]], folder: Path
) -> list[Any]:
    """Draw images of classes and write them as PNG: per tuple, per parent {label, class_name, files}."""
    make_folder(folder, within=folder.parent)
    deck = _Deck(file, host)
    record = []
    if file.parents.sample is not None:
        pairs = deck.pairs()
        for k in range(file.parents.sample):
            slots: list[dict[str, Any]] = []
            for position, name in enumerate(next(pairs)):
                drawn = {str(ANY_SEED): deck.write(name, folder / f"{k}-{position}.png")}
                slots.append({"label": name, "class_name": name, "files": drawn})
            record.append(slots)
        return record
    for k, parents in enumerate(named):
        slots = []
        for position, name in enumerate(parents):
            if Path(name).is_file():
                files: dict[str, Any] = {
                    str(ANY_SEED): {"file": name, "hash": file_hash(Path(name)), "origin": None}
                }
                slots.append({"label": Path(name).stem, "class_name": None, "files": files})
                continue
            name = deck.spelled(name)
            files = {str(s): deck.write(name, folder / f"{k}-{position}-{s}.png") for s in file.top.seeds}
            slots.append({"label": name, "class_name": name, "files": files})
        record.append(slots)
    return record


class _Deck:
    """Images of a source's classes, shuffled by a seed and dealt without repeats as long as there are enough."""

    def __init__(self, file: ExperimentFile, host: PluginHost) -> None:
        from chimera_core.components.choice import choose

        table = file.parents
        chosen = choose(host, "dataset-source", str(table.source), spell_paths(table.options))
        source: DatasetSource = chosen.load()
        info = source.info
        wanted = {name: spelled_in(info.classes, name) for name in table.classes or info.classes}
        for name in (name for name, found in wanted.items() if found is None):
            raise DataError(f"source {table.source} has no class {quote(name)}" + suggest(name, info.classes))
        self._classes = tuple(str(found) for found in wanted.values())
        if len(self._classes) < 2 and table.sample is not None:
            raise DataError(f"pairs need two classes or more, but there is {len(self._classes)}")
        self._split = source.open(choose_split(info.splits, table.split))
        self._known = info.classes
        self._random = random.Random(f"parents {table.seed}")
        self._hands: dict[str, list[int]] = {}
        self._source = str(table.source)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Deal pairs of classes: all of them in some order, then again."""
        pairs = list(itertools.combinations(self._classes, 2))
        while True:
            self._random.shuffle(pairs)
            yield from pairs

    def spelled(self, name: str) -> str:
        """Give a class with its accents as the source spells them; what is none as it is."""
        return spelled_in(self._known, name) or name

    def write(self, name: str, path: Path) -> dict[str, Any]:
        """Deal an image of a class, and write it."""
        from chimera_core.images import write_png

        if name not in self._known:
            raise DataError(
                f"there is no file {quote(name)}, and source {self._source} has no class of that name"
                + suggest(name, self._known)
            )
        index = self._deal(name)
        image = self._split[index].image
        write_png(path, image.permute(1, 2, 0).contiguous().numpy())
        paths = getattr(self._split, "paths", None)
        origin = None
        if paths is not None and Path(paths[index]).is_file():
            origin = {"path": str(Path(paths[index]).resolve()), "stamp": _stamp(Path(paths[index]))}
        return {"file": path.name, "hash": file_hash(path), "origin": origin}

    def _deal(self, name: str) -> int:
        if not self._hands.get(name):
            wanted = self._known.index(name)
            hand = [i for i, label in enumerate(self._split.labels) if int(label) == wanted]
            if not hand:
                raise DataError(f"source {self._source} has no image of class {quote(name)} in that split")
            self._random.shuffle(hand)
            self._hands[name] = hand
        return self._hands[name].pop()


def choose_split(splits: Mapping[str, int], wanted: str | None) -> str:
    """Choose the split that parents are drawn from: what no fuser has learned from, where there is such.

    Raises:
        DataError: if the wanted one does not exist.
    """
    if wanted is not None:
        if (found := spelled_in(splits, wanted)) is None:
            raise DataError(f"there is no split {quote(wanted)}" + suggest(wanted, splits))
        return found
    known = {name.lower(): name for name in splits}
    return next((known[name] for name in (*VAL_NAMES, *TRAIN_NAMES) if name in known), next(iter(splits)))
