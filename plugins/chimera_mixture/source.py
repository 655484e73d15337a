"""Several sources as one, with named classes and, where wanted, every member's eyes in one place.

Which split of a member serves which split of the mixture: the one that its ``split`` names, else the one of the same
name, else, for ``train``, the member's only split (a folder without splits has one, ``all``). A split that some class
has no images for is left out: an accuracy measured on persons alone would say nothing of dogs.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from chimera_core.api import (
    ConfigError,
    DataError,
    DatasetSource,
    MissingDataError,
    SourceInfo,
    eyes_box,
    find_source,
    open_source,
    parse_box,
    source_identity,
    spelled_in,
)
from chimera_mixture.config import Frame, MixtureConfig
from chimera_mixture.members import Eyes, Member, read_shares
from chimera_mixture.split import Box, MixedSplit, Part

NAME = "mixture"


class MixtureSource(DatasetSource):
    """Mixes any sources into one: each member is a class (members may share one) and a domain.

    Raises:
        ConfigError: no member, a member without eyes in frame ``eyes``, an unknown class, a wrong balance.
        MissingDataError: if the data of a member are not on this disk.
    """

    def __init__(self, config: MixtureConfig) -> None:
        members = config.members
        if not members:
            raise ConfigError(f"{NAME} has no members: give two or more, such as person=celeba,root=DIR")
        self.classes = tuple(dict.fromkeys(member.class_name for member in members))
        try:
            self._shares = read_shares(config.balance, self.classes)
        except ValueError as error:
            raise ConfigError(f"--balance {config.balance} of {NAME}: {error}") from None
        self._members = [
            _Opened(member, domain, config.frame)
            for member, domain in zip(members, _domains(members), strict=True)
        ]

    @cached_property
    def info(self) -> SourceInfo:
        """Describe the mixture and each of its members."""
        infos = [member.info for member in self._members]
        licences = dict.fromkeys(f"{info.name}: {info.licence}" for info in infos)
        notes = [note for member in self._members for note in member.notes(self._offered)]
        for split, absent in self._left_out.items():
            notes.append(f"split {split} is left out: no images of {' and '.join(absent)}")
        return SourceInfo(
            name=NAME,
            classes=self.classes,
            splits={split: sum(m.count(split) for m in self._members) for split in self._offered},
            domains=tuple(member.domain for member in self._members),
            licence="; ".join(licences),
            unreadable=tuple(line for info in infos for line in info.unreadable),
            notes=tuple(notes),
            shares=self._shares,
            left_out=dict(sum((Counter(info.left_out) for info in infos), Counter())),
        )

    def open(self, split: str) -> MixedSplit:
        """Open a split of every member that has one; see ``DatasetSource``."""
        if split not in self._offered:
            known = ", ".join(self._offered) or "none"
            why = f": no images of {' and '.join(self._left_out[split])}" if split in self._left_out else ""
            raise DataError(f"{NAME} has no split '{split}'{why} (it has: {known})")
        return MixedSplit(
            [
                member.part(split, self.classes.index(member.class_name), domain)
                for domain, member in enumerate(self._members)
                if member.split_for(split) is not None
            ]
        )

    def files(self, split: str) -> Sequence[Path]:
        """Name the files of every member's split."""
        self.open(split)
        theirs = [(m.source, m.split_for(split)) for m in self._members]
        return [path for source, name in theirs if name is not None for path in source.files(name)]

    def made_of(self) -> Any:
        """Say what every member is: its plugin and version, its options in force, its crop and frame."""
        return [member.made_of() for member in self._members]

    @cached_property
    def _offered(self) -> tuple[str, ...]:
        """Splits for which every class has images."""
        return tuple(split for split in self._known if split not in self._left_out)

    @cached_property
    def _known(self) -> tuple[str, ...]:
        own = [name for member in self._members for name in member.splits]
        order = {"train": 0, "val": 1, "test": 2}
        return tuple(sorted(dict.fromkeys(own), key=lambda name: order.get(name, 3)))

    @cached_property
    def _left_out(self) -> dict[str, list[str]]:
        """Splits that some class has no images for, with these classes."""
        absent = {
            split: [
                name
                for name in self.classes
                if not any(m.class_name == name and m.count(split) for m in self._members)
            ]
            for split in self._known
        }
        return {split: names for split, names in absent.items() if names}


class _Opened:
    """One member with its source opened and its crop decided."""

    def __init__(self, member: Member, domain: str, frame: Frame) -> None:
        self.class_name = member.class_name
        self.domain = domain
        self._member = member
        where = f"member '{member.class_name}' ({member.source.name})"
        self.source, own = _open(member, frame, where)
        self.info = self.source.info
        self._only = [_find_class(name, self.info.classes, where) for name in member.only]
        self._box: Box | None = None
        self._crop = member.crop if "crop" not in own and member.crop else ""
        if frame == "eyes":
            eyes = self.info.eyes if member.eyes is None or "eyes" in own else member.eyes
            if eyes is None:
                raise ConfigError(
                    f"{where} does not say where its eyes are, so it cannot be cut to a common frame: give "
                    "eyes=left x,left y,right x,right y, or frame none"
                )
            if self._crop:
                raise ConfigError(f"{where} has a crop and a frame by its eyes: leave the crop out")
            self._box = eyes_box(eyes)
        for ours, theirs in member.split_names.items():
            if theirs not in self.info.splits:
                known = ", ".join(self.info.splits)
                raise ConfigError(f"{where} has no split '{theirs}' to serve as {ours} (it has: {known})")
        if self._crop:
            parse_box(self._crop, 256, 256)  # a wrong crop shows now, not at the first image
        self._counts: dict[str, int] = {}

    def made_of(self) -> Any:
        """Say what decides its images, in plain values."""
        member = self._member.source
        box = None if self._box is None else list(self._box)
        inner = self.source.made_of()
        return [
            *source_identity(member.name, self.source, member.options),
            list(self._only),
            self._crop,
            box,
            inner,
        ]

    @property
    def splits(self) -> list[str]:
        """Splits of the mixture that this member can serve."""
        names = list(self.info.splits)
        if len(names) == 1 and not self._member.split and names != ["train"]:
            return ["train"]
        named = self._member.split_names
        # A split that serves another is not offered a second time: train and val would be the same images.
        return [*named, *(name for name in names if name not in named and name not in named.values())]

    def split_for(self, split: str) -> str | None:
        """Name the member's split that serves ``split``; None if it has none."""
        if named := self._member.split_names.get(split):
            return named
        if split not in self.splits:
            return None
        return split if split in self.info.splits else next(iter(self.info.splits))

    def count(self, split: str) -> int:
        """Count its images in a split of the mixture."""
        theirs = self.split_for(split)
        if theirs is None:
            return 0
        if not self._only:
            return self.info.splits[theirs]
        if theirs not in self._counts:
            self._counts[theirs] = sum(label in self._only for label in self.source.open(theirs).labels)
        return self._counts[theirs]

    def part(self, split: str, label: int, domain: int) -> Part:
        """Open its share of a split."""
        theirs = self.split_for(split)
        assert theirs is not None
        opened = self.source.open(theirs)
        if self._only:
            indices: Sequence[int] = [k for k, found in enumerate(opened.labels) if found in self._only]
        else:
            indices = range(len(opened))
        return Part(opened, indices, label, domain, self._crop, self._box)

    def notes(self, offered: Sequence[str]) -> list[str]:
        """Say what it brings, what it lacks, and what its source says."""
        taken = ", ".join(self._member.only) or "all"
        counts = ", ".join(f"{s} {self.count(s):,}" for s in offered if self.count(s)) or "none"
        lines = [f"{self.class_name}: {taken} of {self.domain} ({counts})"]
        lines += [
            f"{self.domain} has no split {split} and brings nothing to it"
            for split in offered
            if not self.count(split)
        ]
        return lines + [f"{self.domain}: {note}" for note in self.info.notes]


def _open(member: Member, frame: Frame, where: str) -> tuple[DatasetSource, set[str]]:
    """Open a member's source, leaving crop and eyes to it if it has options of these names.

    Such a source cuts its images before anyone else sees them: a crop of ours would come second, and a frame would
    be cut out of what the source's own crop left over.

    Returns:
        The source, and which of ``crop`` and ``eyes`` are its own affair.
    """
    fields = find_source(member.source.name).config.model_fields
    own = {"crop", "eyes"} & set(fields)
    options: dict[str, Any] = dict(member.source.options)
    crop = "" if frame == "eyes" and member.crop is None else member.crop
    if "crop" in own and crop is not None:
        options.setdefault("crop", crop)
    if "eyes" in own and member.eyes is not None:
        options.setdefault("eyes", _as_option(member.eyes))
    try:
        return open_source(member.source.name, **options), own
    except MissingDataError as error:
        raise MissingDataError(f"{where}: {error}") from error
    except (ConfigError, DataError) as error:
        raise type(error)(f"{where}: {error}") from error


def _as_option(eyes: Eyes) -> str:
    return ",".join(f"{number:g}" for number in eyes)


def _find_class(name: str, classes: Sequence[str], where: str) -> int:
    if (found := spelled_in(classes, name)) is not None:
        return classes.index(found)
    near = difflib.get_close_matches(name, classes, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(classes[:12])}"
    raise ConfigError(f"{where} has no class '{name}' ({hint})")


def _domains(members: Sequence[Member]) -> list[str]:
    """Name the members' domains: the source, with the class and then a number where two are alike."""
    sources = [member.source.name for member in members]
    names = [
        f"{source} {member.class_name}" if sources.count(source) > 1 else source
        for source, member in zip(sources, members, strict=True)
    ]
    earlier = [names[:k].count(name) for k, name in enumerate(names)]
    return [f"{name} {k + 1}" if k else name for name, k in zip(names, earlier, strict=True)]
