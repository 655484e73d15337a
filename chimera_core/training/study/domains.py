"""Which domains a study takes, how the images of each are parted, and which of them cannot be studied."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote as percent_encode

import torch
from torch import Tensor

from chimera_core.data.batches import ImageSplit
from chimera_core.data.split_names import HELD_OUT
from chimera_core.data.subsets import check_domains, of_domains
from chimera_core.errors import ConfigError
from chimera_core.files.names import is_device
from chimera_core.options.training import EncoderTraining
from chimera_core.training.data import Data, choose_pool, part
from chimera_core.training.plan import count_steps
from chimera_core.training.study.options import OWN, EncoderStudy

DOMAINS = "domains"
"""Folder of the domains' runs, within the study's."""

_LONGEST = 100  # of a folder's name, in bytes


@dataclass(frozen=True)
class Domain:
    """A domain's images, counted. Its run lies in ``folder`` within the study's.

    ``n_classes`` occur in all of them, ``n_test_classes`` in the test part. ``n_unseen`` test images are of classes
    that the training part lacks. ``majority`` is the share of the test images that is right when the training part's
    commonest class is always guessed. ``reason`` says why the domain cannot be studied; None: it can.
    """

    name: str
    folder: str
    n: int = 0
    n_classes: int = 0
    n_train: int = 0
    n_test: int = 0
    n_test_classes: int = 0
    n_unseen: int = 0
    majority: float | None = None
    reason: str | None = None


def choose_domains(config: EncoderStudy, known: Sequence[str]) -> tuple[str, ...]:
    """Give the names of the domains to study.

    Args:
        config: which the user wants. ``0,1,5`` names three, unless the source has a domain of that name.
        known: the source's domains. If they are in alphabetical order, numbers in them count: 2 comes before 10.
    Raises:
        ConfigError: if the source has no domains, or not one of that name.
    """
    if not known:
        raise ConfigError(
            f"source {config.source.short_name} has no domains: a study by domain needs images that say where they are "
            "from, e.g. --source folder with DOMAIN/CLASS/images"
        )
    if not config.domains:
        ordered = sorted(known, key=_natural) if list(known) == sorted(known) else known
        return tuple(ordered[: config.domains_first])
    named: dict[str, None] = {}
    for entry in config.domains:
        for name in (entry,) if entry in known else (w.strip() for w in entry.split(",")):
            named |= dict.fromkeys(check_domains([name], known))
    return tuple(named)


def count_domains(config: EncoderStudy, images: Data, names: Sequence[str]) -> list[Domain]:
    """Part the images of each domain as its training will, and count them."""
    pool, _ = choose_pool(images, config.model_copy(update={"val_split": HELD_OUT}))
    folders = name_folders(images.domains)
    return [_count(config, images, pool, name, f"{DOMAINS}/{folders[name]}") for name in names]


def name_folders(domains: Sequence[str]) -> dict[str, str]:
    """Give every domain a folder's name that any file system takes, and no two of them the same.

    What is not a letter, digit, ``-``, ``_`` or a dot within is written as in a URL.
    """
    folders: dict[str, str] = {}
    taken: dict[str, int] = {}
    for name in domains:
        safe = percent_encode(name, safe="").replace("~", "%7E")
        safe = re.sub(r"^\.|\.$", "%2E", safe) or "%"
        if is_device(safe):
            safe = f"%{ord(safe[0]):02X}{safe[1:]}"
        folders[name] = safe
        taken[safe.lower()] = taken.get(safe.lower(), 0) + 1
    for name, safe in folders.items():
        # Some file systems do not tell a from A, and a name of 300 bytes fits into none.
        if taken[safe.lower()] > 1 or len(safe) > _LONGEST:
            folders[name] = f"{safe[:_LONGEST]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return folders


def training_of(config: EncoderStudy, domain: Domain) -> EncoderTraining:
    """Give the options of one domain's training: a training like any other, that `encoder evaluate` takes."""
    values = config.model_dump(exclude=set(OWN))
    values |= {
        "domains": (domain.name,),
        "val_split": HELD_OUT,
        "batch": min(config.batch, domain.n_train),
    }
    training = EncoderTraining.model_validate(values)
    total = images_of(training, domain)
    # Validated once, at the end: to choose weights by test images would flatter them.
    often = {"validate_images": total, "checkpoint_images": config.checkpoint_images or domain.n_train}
    return training.model_copy(update=often)


def images_of(training: EncoderTraining, domain: Domain) -> int:
    """Give the length of a domain's training in images."""
    return count_steps(training, domain.n_train) * training.batch


def _count(config: EncoderStudy, images: Data, pool: ImageSplit, name: str, folder: str) -> Domain:
    if not bool((pool.domains == images.domains.index(name)).any()):
        return Domain(name, folder, reason="no images")
    own = of_domains(pool, [name], images.domains)
    train, test = part(own, config)
    counts = _counts(own.labels)
    learned, tested = _counts(train.labels), _counts(test.labels)
    # Of classes that are equally common the one with the lowest number.
    commonest = max(learned, key=lambda label: (learned[label], -label), default=-1)
    reason = None
    if len(own) < config.min_images:
        reason = f"{len(own)} images, fewer than --min-images {config.min_images}"
    elif len(counts) == 1:
        reason = f"one class only ({images.classes[next(iter(counts))]})"
    elif not len(test):
        reason = f"empty test set: too few images to hold {config.held_out_share:.0%} out"
    elif len(learned) < 2:
        left = f"one class only ({images.classes[commonest]})" if learned else "no image"
        reason = f"{left} to learn from, when {config.held_out_share:.0%} are held out"
    return Domain(
        name,
        folder,
        n=len(own),
        n_classes=len(counts),
        n_train=len(train),
        n_test=len(test),
        n_test_classes=len(tested),
        n_unseen=sum(count for label, count in tested.items() if label not in learned),
        majority=tested.get(commonest, 0) / len(test) if len(test) else None,
        reason=reason,
    )


def _counts(labels: Tensor) -> Mapping[int, int]:
    present, counts = torch.unique(labels, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Order names as people do: ``camera2`` before ``camera10``."""
    parts = re.findall(r"\d+|\D+", name)
    return [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]
