"""What a data set loses on its way to a training: images that nobody asked to leave out, counted. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from chimera_core.data.split_names import HELD_OUT
from chimera_core.errors import DataError
from chimera_core.files.atomic import one_line
from chimera_core.records import SourceInfo

_SHOWN = 3


@dataclass(frozen=True)
class DataLosses:
    """Counts that say whether what is learned from is what lies on the disk.

    Args:
        listed: images that the source lists.
        unreadable: those of them that cannot be read; 0 where nothing was decoded (``--dry-run``).
        left_out: images that no split has, by why.
        across_splits: pairs of equal images that lie in two splits; 0 where nothing was decoded.
        only_train: classes without an image to validate on, where there is a split for that.
        only_val: classes that are validated on and never learned.
    """

    listed: int
    unreadable: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    across_splits: int = 0
    only_train: tuple[str, ...] = ()
    only_val: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.unreadable
            or any(self.left_out.values())
            or self.across_splits
            or self.only_train
            or self.only_val
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Give the counts as ``run.json`` keeps them."""
        return {
            **asdict(self),
            "left_out": dict(self.left_out),
            "only_train": list(self.only_train),
            "only_val": list(self.only_val),
        }

    def __str__(self) -> str:
        """Say it in one line; empty if nothing is lost."""
        parts = []
        if self.unreadable:
            parts.append(f"{self.unreadable:,} of {self.listed:,} images cannot be read")
        parts += [f"{count:,} lie {why}" for why, count in self.left_out.items() if count]
        if self.across_splits:
            pairs = (
                "1 pair of equal images lies"
                if self.across_splits == 1
                else (f"{self.across_splits:,} pairs of equal images lie")
            )
            parts.append(f"{pairs} in two splits")
        for names, where in ((self.only_train, "to learn from"), (self.only_val, "to validate on")):
            if names:
                parts.append(
                    f"{list_classes(names)} {'has' if len(names) == 1 else 'have'} images {where} only"
                )
        return "; ".join(parts)


def count_losses(
    info: SourceInfo,
    images: Any,
    *,
    train: Iterable[int] = (),
    val: Iterable[int] = (),
    val_name: str = HELD_OUT,
    held_out_pairs: int = 0,
) -> DataLosses:
    """Count what a source's images lost.

    Args:
        info: of the source.
        images: packed (``PackedSource``), or only listed.
        train: labels of what is learned from.
        val: labels of what is validated on.
        val_name: its split. What is held out of the others has no classes of its own to lack.
        held_out_pairs: equal images of which one was held out and one was not.
    """
    splits = images.splits.values()
    unreadable = sum(len(getattr(split, "unreadable", ())) for split in splits)
    index = getattr(images, "index", {})
    learned, validated = set(train), set(val)
    if val_name == HELD_OUT:
        learned = validated = set()
    return DataLosses(
        listed=sum(map(len, splits)) + unreadable,
        unreadable=unreadable,
        left_out={why: count for why, count in info.left_out.items() if count},
        across_splits=index.get("duplicates", {}).get("across", 0) + held_out_pairs,
        only_train=tuple(images.classes[label] for label in sorted(learned - validated)),
        only_val=tuple(images.classes[label] for label in sorted(validated - learned)),
    )


def refuse_losses(lost: DataLosses) -> None:
    """Refuse data that have lost anything.

    Raises:
        DataError: if they have.
    """
    if lost:
        raise DataError(f"--strict-data: {lost}: mend the data, or leave --strict-data out")


def list_classes(names: Sequence[str]) -> str:
    """Name the first few classes of several, and count the others: ``classes ant, bee, cat and 9 more``."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    what = "class" if len(names) == 1 else "classes"
    return f"{what} {', '.join(one_line(name, limit=40) for name in names[:_SHOWN])}{more}"
