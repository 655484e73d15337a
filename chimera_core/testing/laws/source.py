"""The laws of a source."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from chimera_core.errors import DataError
from chimera_core.files.atomic import is_path_option
from chimera_core.interfaces.components import DatasetSource
from chimera_core.laws import Law, NotTriedError, law, laws_of
from chimera_core.options.config import path_fields
from chimera_core.records import SourceInfo
from chimera_core.testing.laws.randomness import GlobalState, seed_everything
from chimera_core.testing.laws.subject import Once, describe

PAGE = "reference/laws.md#of-a-source"
SHAPES_PAGE = "reference/contract.md#shapes-and-ranges"


def check_source(
    build: Callable[[], DatasetSource],
    *,
    most_images: int = 32,
    expected_failures: Mapping[str, str] | None = None,
) -> list[Law]:
    """List the laws of a source, to be tried one by one.

    Args:
        build: opens it; called at the first law that is tried, and again by some.
        most_images: of a split that are decoded, spread over it.
        expected_failures: by the law's name, why this source does not keep it.
    Raises:
        ConfigError: if a failure is declared of no law.
    """
    return laws_of(SourceLaws(build, most_images), expected_failures)


class SourceLaws:
    """What is asked of a source."""

    def __init__(self, build: Callable[[], DatasetSource], most_images: int) -> None:
        self._build, self._most = build, most_images

    @cached_property
    def _source(self) -> Once[DatasetSource]:
        return Once(self._build, "it cannot be opened")

    @cached_property
    def _info(self) -> Once[SourceInfo]:
        return Once(lambda: self._source().info, "it does not describe itself")

    @cached_property
    def _splits(self) -> Once[dict[str, Any]]:
        def open_all() -> dict[str, Any]:
            source = self._source()
            splits = {name: source.open(name) for name in self._info().splits}
            for name, split in splits.items():
                if not (hasattr(split, "__len__") and hasattr(split, "__getitem__")):
                    raise TypeError(f"split {name} is {describe(split)}, which has no length or no items")
            return splits

        return Once(open_all, "its splits cannot be opened")

    @cached_property
    def _examples(self) -> Once[dict[str, dict[int, Any]]]:
        """Some examples of each split, by index; files that cannot be read are left out."""

        def decode() -> dict[str, dict[int, Any]]:
            return {name: self._decode(split) for name, split in self._splits().items()}

        return Once(decode, "its examples cannot be read")

    def _decode(self, split: Any) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for index in _spread(len(split), self._most):
            try:
                found[index] = split[index]
            except DataError:
                continue
        return found

    def _each(self) -> list[tuple[str, int, Any]]:
        return [(name, k, e) for name, some in self._examples().items() for k, e in some.items()]

    @law(PAGE)
    def opens(self) -> str | None:
        """Its constructor takes the options, and makes a DatasetSource."""
        source: Any = self._source.first()
        return None if isinstance(source, DatasetSource) else f"{describe(source)}."

    @law(PAGE)
    def describes_itself(self) -> str | None:
        """``info`` is a SourceInfo with a split or more, and classes of different names."""
        self._source()
        info: Any = self._info.first()
        if not isinstance(info, SourceInfo):
            return f"{describe(info)}."
        if not info.splits:
            return "no split."
        if len(set(info.classes)) != len(info.classes) or not all(isinstance(c, str) for c in info.classes):
            return f"classes {info.classes}."
        return None

    @law(PAGE)
    def splits_open(self) -> str | None:
        """Every split of ``info`` opens, as something with a length and items."""
        self._info()
        self._splits.first()
        return None

    @law(PAGE)
    def unknown_split(self) -> str | None:
        """A split that it does not have is a DataError."""
        source = self._source()
        self._splits()
        try:
            source.open("no-such-split")
        except DataError:
            return None
        return "split 'no-such-split' was opened."

    @law(PAGE)
    def counts_match(self) -> str | None:
        """Every split has as many examples as ``info`` says."""
        counts = self._info().splits
        for name, split in self._splits().items():
            if len(split) != counts[name]:
                return f"{len(split)} examples in split {name}, where info says {counts[name]}."
        return None

    @law(PAGE)
    def label_for_each_image(self) -> str | None:
        """``labels`` has one label for every example of a split."""
        for name, split in self._splits().items():
            if len(split.labels) != len(split):
                return f"{len(split.labels)} labels for {len(split)} images in split {name}."
        return None

    @law(PAGE)
    def labels_are_classes(self) -> str | None:
        """Every label is the index of a class."""
        classes = self._info().classes
        for name, split in self._splits().items():
            wrong = [label for label in map(int, split.labels) if not 0 <= label < max(1, len(classes))]
            if wrong:
                return f"label {wrong[0]} in split {name}, where there are {len(classes)} classes."
        return None

    @law(PAGE)
    def labels_of_examples(self) -> str | None:
        """An example's label is the one that ``labels`` gives at its index."""
        splits = self._splits()
        for name, index, example in self._each():
            listed = splits[name].labels
            if index < len(listed) and int(listed[index]) != int(example.label):
                return f"label {example.label} of example {index} of split {name}, where labels has {listed[index]}."
        return None

    @law(PAGE)
    def examples_decode(self) -> str | None:
        """Its examples can be read, all but files that are damaged, which are a DataError."""
        self._splits()
        self._examples.first()
        return None

    @law(SHAPES_PAGE)
    def uint8_rgb(self) -> str | None:
        """An image is uint8 RGB (3, H, W)."""
        for name, index, example in self._each():
            image = example.image
            is_right = (
                isinstance(image, Tensor)
                and image.dtype == torch.uint8
                and image.ndim == 3
                and len(image) == 3
                and image.numel()
            )
            if not is_right:
                return f"{describe(image)} at example {index} of split {name}."
        return None

    @law(PAGE)
    def domains_are_listed(self) -> str | None:
        """An example's domain is the index of a domain; 0 where there are none."""
        domains = self._info().domains
        for name, index, example in self._each():
            if not 0 <= int(example.domain) < max(1, len(domains)):
                return (
                    f"domain {example.domain} of example {index} of split {name}; there are {len(domains)}."
                )
        return None

    @law(PAGE)
    def domain_for_each_image(self) -> str | None:
        """``domains`` of a split, where it has them, are one for every example, and the examples' own."""
        examples = self._examples()
        for name, split in self._splits().items():
            listed = getattr(split, "domains", None)
            if listed is None or not len(listed):
                continue
            if len(listed) != len(split):
                return f"{len(listed)} domains for {len(split)} images in split {name}."
            for index, example in examples[name].items():
                if int(listed[index]) != int(example.domain):
                    return f"domain {example.domain} of example {index} of split {name}, where domains has {listed[index]}."
        return None

    @law(PAGE)
    def ends(self) -> str | None:
        """An index past the end is an IndexError, so that a loop over a split ends."""
        for name, split in self._splits().items():
            try:
                split[len(split)]
            except IndexError:
                continue
            return f"example {len(split)} of {len(split)} in split {name} was read."
        return None

    @law(PAGE)
    def stable(self) -> str | None:
        """Opened again, it lists the same labels, and the same images at the same places."""
        first, splits = self._examples(), self._splits()
        seed_everything(7)
        again = self._build()
        for name in self._info().splits:
            split = again.open(name)
            if list(map(int, split.labels)) != list(map(int, splits[name].labels)):
                return f"other labels in split {name}."
            for index, example in first[name].items():
                if digest_of(split[index].image) != digest_of(example.image):
                    return f"another image at example {index} of split {name}."
        return None

    @law(PAGE)
    def generators_stay(self) -> str | None:
        """The global generators of torch, numpy and random are left as they were."""
        self._examples()
        seed_everything(5)
        before = GlobalState()
        source = self._build()
        for name in source.info.splits:
            split = source.open(name)
            if len(split):
                self._decode(split)
        moved = before.changed()
        before.restore()
        return f"{moved} moved." if moved else None

    @law(PAGE, after=("stable",))
    def no_example_twice(self) -> str | None:
        """No file is listed twice in a split; where there are no files, no image occurs twice among those looked at."""
        for name, ids in self._ids().items():
            doubled = [each for each, count in Counter(ids).items() if count > 1]
            if doubled:
                return f"{os.path.basename(doubled[0])} {Counter(ids)[doubled[0]]} times in split {name}."
        return None

    @law(PAGE, after=("stable",))
    def splits_are_disjoint(self) -> str | None:
        """No file is in two splits; where there are no files, no image of those looked at."""
        owners: dict[str, str] = {}
        for name, ids in self._ids().items():
            for each in set(ids):
                if owners.setdefault(each, name) != name:
                    return f"{os.path.basename(each)} in the splits {owners[each]} and {name}."
        return None

    def _ids(self) -> dict[str, list[str]]:
        examples, found = self._examples(), {}
        for name, split in self._splits().items():
            paths: Sequence[Any] = getattr(split, "paths", ())
            if len(paths) == len(split):
                found[name] = [os.fspath(path) for path in paths]
            else:
                found[name] = [digest_of(e.image) for e in examples[name].values()]
        return found

    @law(PAGE)
    def changes_are_noticed(self) -> str | None:
        """A source whose options say where files lie names these, by ``paths`` or ``files``, or what decides them by ``made_of``."""
        source = self._source()
        config = getattr(source, "config", None)
        if not isinstance(config, BaseModel):
            raise NotTriedError("it keeps its options elsewhere than in `config`")
        named = filter(is_path_option, type(config).model_fields)
        if not any(getattr(config, name) for name in {*path_fields(type(config)), *named}):
            raise NotTriedError("no option of it says where files lie")
        if source.made_of() is not None or any(len(source.files(name)) for name in self._splits()):
            return None
        return "neither paths of a split, nor files(split), nor made_of(): a packed cache would never be made anew."

    @law(PAGE, after=("stable",))
    def travels(self) -> str | None:
        """A split can be pickled, so that other processes read it, and is then the same."""
        examples = self._examples()
        for name, split in self._splits().items():
            copied = pickle.loads(pickle.dumps(split))  # our own object, in this process
            for index, example in list(examples[name].items())[:2]:
                if digest_of(copied[index].image) != digest_of(example.image):
                    return f"another image at example {index} of split {name} after pickling."
        return None


def digest_of(image: Any) -> str:
    """Hash an image by its shape and pixels."""
    if not isinstance(image, Tensor):
        raise NotTriedError("its images are not tensors")
    pixels = image.contiguous().cpu().numpy()
    return f"image {hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:12]}"


def _spread(count: int, most: int) -> list[int]:
    """Choose up to ``most`` of ``count`` indices, from the first to the last."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})
