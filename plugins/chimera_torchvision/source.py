"""The ``torchvision`` source: what torchvision's own loader gives, image by image and label by label."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from chimera_core.api import (
    ConfigError,
    DataError,
    DatasetSource,
    MissingDataError,
    RunError,
    SourceInfo,
    check_may_download,
    default_data_root,
    describe_folder,
    make_folder,
    one_line,
)
from chimera_torchvision.classes import (
    can_download,
    check_required,
    find_class,
    read_arguments,
    split_values,
    takes_root,
    target_parameter,
)
from chimera_torchvision.config import TorchvisionConfig
from chimera_torchvision.opening import Opened, Part, open_part
from chimera_torchvision.reading import side_files, trimap_of, unite
from chimera_torchvision.split import TorchvisionSplit

_PAGE = "https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.{}.html"


class TorchvisionSource(DatasetSource):
    """A data set of torchvision's, with its own splits, classes and pixels.

    Classes are those of all its splits, by name. Images without a label are left out, and so is a split that repeats the
    files of others, as ``trainval`` does.
    """

    def __init__(self, config: TorchvisionConfig) -> None:
        self.config = config
        self._class = find_class(config.name)
        self._root = _root_of(config)
        given = read_arguments(self._class, config.arguments)
        check_required(self._class, given)
        if takes_root(self._class) and not os.path.isdir(self._root):
            raise self._missing("")
        self._parts: dict[str, Part] = {}
        self._opened: dict[str, Opened] = {}
        self._notes: list[str] = []
        self._absent: dict[str, str] = {}
        for split, own in split_values(self._class, given, root=self._root).items():
            self._try_split(split, {**given, **own})
        if not self._opened:
            raise self._missing(next(iter(self._absent.values()), "it has no images"))
        self._left_out = self._leave_out()
        self.classes, self._numbers = unite({s: o.facts for s, o in self._opened.items()})

    def _try_split(self, split: str, arguments: dict[str, Any]) -> None:
        parameter = target_parameter(self._class)
        # Of CelebA the target is an attribute: all of them come, and one is taken.
        if parameter and self.config.target and self._class.__name__ != "CelebA":
            arguments = {**arguments, parameter: self.config.target}
        part = Part(self._class.__name__, tuple(self._whole_arguments(arguments).items()), self.config.target)
        try:
            opened = open_part(part)
        except MissingDataError as error:
            self._absent[split] = str(error)
            return
        if not len(opened.dataset):
            return
        self._parts[split], self._opened[split] = part, opened

    def _whole_arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        whole = dict(arguments)
        if takes_root(self._class):
            whole["root"] = self._root
        if can_download(self._class):
            whole["download"] = False  # of some it is on by default
        return whole

    def _leave_out(self) -> dict[str, int]:
        """Drop splits that repeat others, and count images without a label."""
        seen: set[str] = set()
        left_out = {}
        for split in list(self._opened):
            facts = self._opened[split].facts
            if seen & set(facts.files):
                self._notes.append(
                    f"split {split} repeats files of other splits and is left out; --argument split={split} opens it alone"
                )
                del self._opened[split], self._parts[split]
                continue
            seen.update(facts.files)
            if unlabelled := sum(value is None for value in facts.values):
                left_out[f"without a label in split {split}"] = unlabelled
        if not any(value is not None for o in self._opened.values() for value in o.facts.values):
            raise DataError(
                f"torchvision's {self._class.__name__} has no labels here: it is no data for classes"
            )
        return left_out

    def _missing(self, why: str) -> MissingDataError:
        name = self._class.__name__
        where = why if why else describe_folder(self._root)
        if not can_download(self._class):
            mend = f"get it as {_PAGE.format(name)} says"
        else:
            root = f" --root {self._root}" if self.config.root else ""
            mend = f"`chimera source prepare torchvision --name {name}{root} --download` brings it"
        return MissingDataError(
            f"no {name} in '{self._root}' ({one_line(where, limit=300)}): {mend}",
            downloadable=can_download(self._class),
        )

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the data set as torchvision does."""
        notes = list(self._notes)
        notes += [f"split {split} needs data: {why}" for split, why in self._absent.items()]
        if any(trimap_of(o.dataset, 0) for o in self._opened.values()):
            notes.append("trimaps are the animals' masks")
        counts = {s: sum(v is not None for v in o.facts.values) for s, o in self._opened.items()}
        return SourceInfo(
            name="torchvision",
            classes=self.classes,
            splits={split: count for split, count in counts.items() if count},
            licence=f"of {self._class.__name__}: see its authors' page",
            home_page=_PAGE.format(self._class.__name__),
            notes=tuple(notes),
            left_out=self._left_out,
        )

    def open(self, split: str) -> TorchvisionSplit:
        """Open a split; see ``DatasetSource``."""
        if split not in self.info.splits:
            known = ", ".join(self.info.splits)
            raise DataError(f"torchvision's {self._class.__name__} has no split '{split}' (it has: {known})")
        values = self._opened[split].facts.values
        rows = tuple(row for row, value in enumerate(values) if value is not None)
        numbers = self._numbers[split]
        opened = TorchvisionSplit(
            self._parts[split], rows, tuple(numbers[v] for v in values if v is not None)
        )
        opened.adopt(self._opened[split])
        return opened

    def files(self, split: str) -> Sequence[Path]:
        """List the split's images, and the files of arrays or labels beside them."""
        opened = self.open(split)
        return (*side_files(opened.dataset), *opened.paths)

    def made_of(self) -> Any:
        """Name the libraries that draw the images, where a data set has no files."""
        import torchvision

        return None if takes_root(self._class) else [torchvision.__version__, torch.__version__]

    @classmethod
    def download(cls, config: TorchvisionConfig, *, progress: Callable[[float, float], None]) -> None:
        """Let torchvision bring the data, checked by its own checksums; see ``DatasetSource``."""
        kind = find_class(config.name)
        page = _PAGE.format(kind.__name__)
        if not can_download(kind):
            raise ConfigError(f"torchvision cannot download {kind.__name__}: get it as {page} says")
        check_may_download(f"{kind.__name__} of torchvision")
        root = _root_of(config)
        given = read_arguments(kind, config.arguments)
        check_required(kind, given)
        make_folder(Path(root), mend="name another --root")
        splits = list(split_values(kind, given, root=root).values())
        for k, own in enumerate(splits):
            progress(k, len(splits))
            try:
                # It prints; its bars stay visible, and standard output stays clean.
                with contextlib.redirect_stdout(sys.stderr):
                    kind(**given, **own, root=root, download=True)
            except Exception as error:  # torchvision's border: hosts, disks and archives fail in many ways
                reason = one_line(error, limit=200) or type(error).__name__
                raise RunError(
                    f"torchvision cannot download {kind.__name__} into '{root}' ({reason}): try again, or get it as {page} says"
                ) from error
        progress(len(splits), len(splits))


def _root_of(config: TorchvisionConfig) -> str:
    return os.path.expanduser(config.root) if config.root else str(default_data_root("torchvision"))
