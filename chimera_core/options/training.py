"""What a user may choose of a training: of every one, and how an encoder or a fuser is trained. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import field_serializer, field_validator, model_validator

from chimera_core.options.config import ComponentRef, Config, EncoderRef, ImageCount, SourceRef, option
from chimera_core.options.layers import merge

DEFAULT_EPOCHS = 10.0
NO_JUDGE = "none"
_ALTERNATIVES = (("images", "epochs"), ("domains", "domains_first"))


class TrainerRef(ComponentRef):
    """A robustness trainer chosen by name."""

    kind: ClassVar[str] = "robustness-trainer"


class FuserRef(ComponentRef):
    """A fuser chosen by name."""

    kind: ClassVar[str] = "fusion-generator"


class TrainingOptions(Config):
    """What every training has: its length, its device, when it saves."""

    seed: int = option(0, help="random seed of initial weights, data order and augmentation", ge=0)
    images: ImageCount | None = option(None, help="length in images, e.g. 5000, 200k or 2M", ge=1)
    epochs: float | None = option(None, help="length in epochs, instead of --images", gt=0)
    batch: int = option(64, help="images per step, over all devices", ge=1)
    device: str = option("auto", help="auto, cpu, cuda, cuda:N or mps")
    devices: int = option(1, help="processes that share each batch (cuda: one GPU each)", ge=1, le=64)
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", help="bf16: mixed precision; auto: bf16 where the device supports it"
    )
    compile: bool = option(False, help="compile the network: slow to start, then faster")
    max_minutes: float | None = option(
        None, help="stop after this many minutes of training; interruptions do not count", gt=0
    )
    log_images: ImageCount | None = option(None, help="log metrics every so many images", ge=1)
    checkpoint_images: ImageCount | None = option(None, help="save a checkpoint every so many images", ge=1)
    checkpoint_minutes: float = option(10.0, help="also save one every so many minutes; 0: never", ge=0)
    keep: int = option(2, help="number of recent checkpoints to keep", ge=1)
    log: str = option(
        "none", help="also log to: none, tensorboard, wandb, mlflow, or another plugin's run logger"
    )

    MAY_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {
            "images",
            "epochs",
            "device",
            "devices",
            "max_minutes",
            "checkpoint_minutes",
            "keep",
            "log",
            "compile",
            "strict_data",
        }
    )
    """What ``--resume`` may be given anew."""

    def as_before(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write options that are given again as these do, which are resolved, where they mean the same."""
        return dict(given)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.images is not None and self.epochs is not None:
            raise ValueError("give --images or --epochs, not both")
        return self


class ImageTraining(TrainingOptions):
    """What every training on images has: from where, in which shape, which ones."""

    source: SourceRef = option(..., help="data set")
    size: int = option(64, help="side of the images in pixels", ge=8, le=1024)
    fit: Literal["crop", "stretch", "pad"] = option("crop", help="how images become squares")
    train_split: str | None = option(
        None, help="split to train on: train, if there is one; joined: all splits"
    )
    val_split: str | None = option(
        None, help="split to validate on: val or test, if there is one, else held-out images"
    )
    held_out: Literal["by-class", "plain"] = option(
        "by-class", help="by-class: hold out the same share of each class; plain: of all images together"
    )
    held_out_share: float = option(0.2, help="share of the images to hold out for validation", gt=0, lt=1)
    domains: tuple[str, ...] = option((), help="train on these domains only")
    strict_data: bool = option(
        False,
        help="refuse data with unreadable, skipped or duplicate images, or with classes missing from a split",
    )
    sampling: Literal["natural", "class", "domain"] = option(
        "natural",
        help="natural: every image once per epoch; class, domain: equal shares of each class or domain",
    )


class EncoderTraining(ImageTraining):
    """How an encoder is trained, on what, by whom."""

    max_minutes: float | None = option(
        None,
        help="stop after this many minutes of training, interruptions apart; without --images and --epochs, the length",
        gt=0,
    )
    encoder: EncoderRef = option(..., help="network")
    trainer: TrainerRef = option(TrainerRef(name="standard"), help="training method, e.g. standard or pgd")
    validate_images: ImageCount | None = option(None, help="validate every so many images", ge=1)
    augment: str = option("none", help="augmentation: none, flip, crop-flip, rand-augment or copy-paste")
    mix: Literal["none", "mixup", "cutmix"] = option(
        "none", help="mix pairs of training images and their labels"
    )
    label_smoothing: float = option(
        0.0, help="label smoothing: share of each label spread over all classes", ge=0, lt=1
    )
    optimizer: Literal["adamw", "adam", "sgd"] = option("adamw", help="optimizer")
    lr: float = option(1e-3, help="peak learning rate", gt=0)
    layer_decay: float = option(
        1.0, help="learning-rate factor per layer, from the classifier down", gt=0, le=1
    )
    weight_decay: float = option(
        0.05, help="weight decay; adam and sgd also apply it to norms and biases", ge=0
    )
    momentum: float = option(0.9, help="SGD momentum", ge=0, lt=1)
    schedule: Literal["constant", "cosine", "one-cycle"] = option("cosine", help="learning-rate schedule")
    warmup_images: ImageCount = option(0, help="linear warm-up, in images", ge=0)
    clip: float | None = option(None, help="clip gradients to this norm", gt=0)
    ema: float = option(
        0.0, help="decay per step of a moving average of the weights (EMA), e.g. 0.999; 0: none", ge=0, lt=1
    )

    @property
    def is_timed(self) -> bool:
        """Whether minutes are the length, and the schedule goes by the clock."""
        return self.max_minutes is not None and self.images is None and self.epochs is None


class FuserTraining(ImageTraining):
    """How a fuser is trained, on what. Learning rates and losses are options of the fuser: each has its own."""

    fuser: FuserRef = option(..., help="what is trained")
    augment: Literal["none", "flip"] = option("flip", help="flip: mirror half of the images")
    schedule: Literal["constant", "cosine"] = option("constant", help="learning-rate schedule")
    warmup_images: ImageCount = option(0, help="linear warm-up, in images", ge=0)
    judge: EncoderRef | None = option(
        EncoderRef(name="robust-lite0"),
        help="encoder whose features measure quality (KID); none: do not measure it",
    )
    judge_images: ImageCount = option(
        1000, help="number of generated and of held-out images per measurement", ge=10
    )
    quality_images: ImageCount | None = option(None, help="measure quality every so many images", ge=1)
    sample_images: ImageCount | None = option(None, help="draw sample pictures every so many images", ge=1)
    patience: int | None = option(
        None, help="stop after this many measurements in a row without improvement", ge=1
    )
    init_from: str | None = option(None, help="start from the networks of this run, exported file or model")

    MAY_CHANGE: ClassVar[frozenset[str]] = ImageTraining.MAY_CHANGE | {"patience"}

    @field_validator("judge", mode="before")
    @classmethod
    def _none_is_no_judge(cls, value: Any) -> Any:
        name = value.get("name") if isinstance(value, Mapping) else value
        return None if name == NO_JUDGE else value

    @field_serializer("judge", mode="wrap")
    def _write_no_judge(self, value: Any, write: Any) -> Any:
        # In TOML what is missing means the default, so that no judge needs a word.
        return NO_JUDGE if value is None else write(value)


def lay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over others; of two that exclude each other, ``--images`` and ``--epochs``, the upper one stays."""
    kept = dict(below)
    for one, other in _ALTERNATIVES:
        for name, rival in ((one, other), (other, one)):
            if above.get(name) not in (None, (), []):
                kept.pop(rival, None)
    return merge(kept, above)
