"""Everything that decides a study of encoders, one per domain, and the presets of it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from chimera_core.data.split_names import HELD_OUT, JOINED
from chimera_core.errors import ConfigError
from chimera_core.options.config import ImageCount, option, suggest
from chimera_core.options.training import DEFAULT_EPOCHS, EncoderTraining

OWN = ("by", "domains", "domains_first", "min_images")
"""The options that a study has beyond those of the training of each domain."""


class EncoderStudy(EncoderTraining):
    """How one encoder per domain is trained and tested: the options of each training, and which domains."""

    by: Literal["domain"] = option("domain", help="what the study trains one encoder for")
    domains: tuple[str, ...] = option((), help="study these domains only, e.g. 5 or 0,1,5")
    domains_first: int | None = option(None, help="study only the first so many domains", ge=1)
    min_images: ImageCount = option(10, help="skip domains with fewer images (n/a in the table)", ge=3)
    train_split: str | None = option(
        JOINED, help="split to divide into training and test images; joined: all splits"
    )
    held_out: Literal["by-class", "plain"] = option(
        "plain", help="plain: test images are drawn from all together; by-class: the same share of each class"
    )
    held_out_share: float = option(0.2, help="share of each domain's images to test on", gt=0, lt=1)
    epochs: float | None = option(
        None, help=f"length in epochs of each domain; without --images, {DEFAULT_EPOCHS:g}", gt=0
    )
    images: ImageCount | None = option(
        None, help="length of each training in images, instead of --epochs", ge=1
    )
    batch: int = option(64, help="images per step; a smaller domain uses all its images", ge=1)
    max_minutes: float | None = option(
        None, help="stop the training of each domain after this many minutes", gt=0
    )

    DECIDED: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"val_split": HELD_OUT, "validate_images": None, "devices": 1}
    )
    """What a study does not let anyone choose. Above all: the test images are looked at once, when a training has
    ended, so no weights are chosen by them."""
    MAY_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {"device", "checkpoint_minutes", "keep", "log", "compile"}
    )

    def as_before(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write the domains by their names, as a study that has begun does."""
        again = dict(given)
        if again.get("domains_first") == len(self.domains):
            del again["domains_first"]
        again_domains = tuple(again.get("domains", ()))
        if (
            again_domains
            and tuple(w.strip() for entry in again_domains for w in entry.split(",")) == self.domains
        ):
            again["domains"] = self.domains
        return again

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_decided(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for name in cls.DECIDED:
                if values.get(name) not in (None, cls.model_fields[name].default):
                    raise ValueError(f"a study decides {name.replace('_', '-')} itself: leave it out")
        return values

    @model_validator(mode="after")
    def _check_domains(self) -> EncoderStudy:
        if self.domains and self.domains_first is not None:
            raise ValueError("give --domains or --domains-first, not both")
        return self


@dataclass(frozen=True)
class StudyPreset:
    """A named set of a study's options; ``encoder_preset`` belongs to the encoder that they name."""

    name: str
    summary: str
    options: Mapping[str, Any]
    encoder_preset: str


PRESETS = (
    StudyPreset(
        "report",
        "the first report's: the first 10 locations, 5 epochs, cross entropy, Adam, 448 px",
        {
            "by": "domain",
            "domains_first": 10,
            "epochs": 5.0,
            "size": 448,
            "optimizer": "adam",
            "held_out": "plain",
            "held_out_share": 0.2,
            "trainer": {"name": "robust:standard"},
            "encoder": {"name": "cnn:cnn"},
            # Unstated: the rate is Adam's own default, the batch what its 822 million weights leave room for, and
            # images are squeezed as in the example of the WILDS package that it took them from.
            "lr": 1e-3,
            "weight_decay": 0.0,
            "schedule": "constant",
            "augment": "none",
            "batch": 16,
            "fit": "stretch",
        },
        encoder_preset="report",
    ),
)


def find_preset(name: str) -> StudyPreset:
    """Look a preset of studies up.

    Raises:
        ConfigError: if there is none of that name.
    """
    by_name = {preset.name: preset for preset in PRESETS}
    if name not in by_name:
        raise ConfigError(
            f"there is no preset '{name}' of studies{suggest(name, by_name)}; the encoder's is --encoder-preset"
        )
    return by_name[name]
