"""What ``chimera encoder evaluate`` says of a trained encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from chimera_core.attacks.budget import check_budget
from chimera_core.attacks.catalogue import Attack, standard_attacks
from chimera_core.components.choice import Choice, choose
from chimera_core.components.trained import Trained, model_file
from chimera_core.data.batches import Batch, ImageSplit, evaluation_batches
from chimera_core.data.losses import count_losses
from chimera_core.data.subsets import spread_subset
from chimera_core.devices import select_device
from chimera_core.errors import ConfigError, PluginError
from chimera_core.evaluation.attacked import evaluate_attacks, masking_attacks, masking_signs
from chimera_core.interfaces.additions import AdversarialAttack
from chimera_core.interfaces.components import FeatureEncoder, no_progress
from chimera_core.interfaces.guards import MEND, check_pixels
from chimera_core.models.encoders import load_trained, read_training
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.options.config import suggest
from chimera_core.options.training import EncoderTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.training.data import Data, choose_splits, open_data
from chimera_core.training.encoder_plan import check_encoder
from chimera_core.training.parts.accuracy import count_predictions

_log = logging.getLogger(__name__)


def evaluate_trained(
    trained: Trained,
    host: PluginHost,
    *,
    data: EncoderTraining | None = None,
    source_options: Mapping[str, Any] | None = None,
    split: str | None = None,
    attacks: Sequence[str] = (),
    eps: float = 4 / 255,
    norm: str = "linf",
    masking: bool = False,
    limit: int | None = None,
    batch: int = 128,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[float, float], None] = no_progress,
) -> dict[str, Any]:
    """Evaluate the best weights of a run, or an exported encoder, in fp32.

    Args:
        data: the training whose source, size and held-out part are used; None: the run's own.
        source_options: laid over those of its source: where the data lie now, say.
        split: which; None: the one that the training validates on.
        eps: their radius, on the [0, 1] pixel scale.
        norm: ``linf`` or ``l2``.
        masking: also look for signs of masked gradients, by four attacks of its own.
        limit: only so many images, evenly out of the split.
        progress: called with (done, total) in images.
    Returns:
        ``{split, n, accuracy, macro_f1, attacks: {name: accuracy}, domains: [{domain, n, accuracy, macro_f1}]}``;
        with attacks also ``worst``, ``eps`` and ``norm``; with masking also ``masking``, a sentence for each sign.
    Raises:
        ChimeraError: for an encoder, split or attack that cannot be used.
    """
    where = select_device(device)
    chosen = _find_attacks(attacks, host, eps=eps, norm=norm)
    encoder, classes, config = _what_and_on_what(trained, host, data)
    if source_options:
        options = {**config.source.options, **source_options}
        config = config.model_copy(update={"source": config.source.model_copy(update={"options": options})})
    encoder = encoder.to(where)
    # Another split than its own is of all domains.
    whole = split is not None and split != config.val_split
    data_now = open_data(
        config, host, whole=whole, check=lambda listed: _images(listed.images, config, split)
    )
    packed = data_now.images
    if lost := count_losses(data_now.source.opened.info, packed):
        _log.warning("source %s: %s", config.source.short_name, lost)
    if list(packed.classes) != list(classes or packed.classes):
        raise ConfigError(
            f"the source has other classes now than {trained} learned: name other data, or train another"
        )
    images, name = _images(packed, config, split)
    if limit is not None:
        images = spread_subset(images, limit)
    if not len(images):
        raise ConfigError(f"split '{name}' has no images: name another")
    check_encoder(encoder, classes=len(packed.classes), size=config.size, name=trained.name)
    total = len(images)
    counts = count_predictions(
        encoder,
        evaluation_batches(images, batch=batch, device=where),
        classes=len(packed.classes),
        domains=len(packed.domains),
        device=where,
        progress=lambda done: progress(0 if chosen or masking else done, total),
    )
    found: dict[str, Any] = {
        "split": name,
        "n": counts.n,
        "accuracy": counts.accuracy,
        "macro_f1": counts.macro_f1,
        "attacks": {},
        "domains": counts.by_domain(packed.domains) if packed.domains else [],
    }
    if chosen:
        batches = _noted(evaluation_batches(images, batch=batch, device=where), total, progress)
        results = evaluate_attacks(encoder, batches, chosen, seed=seed)
        found["attacks"] = {name: results.accuracy(name) for name in chosen}
        found |= {"worst": results.accuracy("worst"), "eps": eps, "norm": norm}
    if masking:
        batches = _noted(evaluation_batches(images, batch=batch, device=where), total, progress)
        looking = masking_attacks(norm=norm, eps=eps, shape=(3, config.size, config.size))
        found["masking"] = masking_signs(evaluate_attacks(encoder, batches, looking, seed=seed))
    return found


def _what_and_on_what(
    trained: Trained, host: PluginHost, data: EncoderTraining | None
) -> tuple[FeatureEncoder, Sequence[str], EncoderTraining]:
    """Load what is evaluated: the encoder, the classes that it knows, and the training that names the data."""
    if trained.form == "run" and trained.path is not None:
        config, record = read_training(trained.path, host)
        return load_trained(trained, host), record.get("classes", ()), data or config
    if data is None:
        raise ConfigError(f"{trained} does not say on which data: give a training's --config")
    path = trained.path or model_file(host, trained.name)
    return load_trained(trained, host), read_header(path, ExportedEncoder).classes, data


def _images(packed: Data, config: EncoderTraining, split: str | None) -> tuple[ImageSplit, str]:
    _, val, val_name = choose_splits(packed, config)
    name = split or val_name
    if split is not None and split not in packed.splits and split != val_name:
        raise ConfigError(f"there is no split '{split}'" + suggest(split, {**packed.splits, val_name: val}))
    return (val if name == val_name else packed.splits[name]), name


def _find_attacks(names: Sequence[str], host: PluginHost, *, eps: float, norm: str) -> dict[str, Attack]:
    """Look attacks up by name, those of plugins among them; ``pgd`` is short for ``pgd-20``.

    Raises:
        ConfigError: for an unknown name, or a radius that makes no sense.
    """
    check_budget(norm, eps)  # without attacks as well: who writes 8 for 8/255 should hear of it
    if not names:
        return {}
    known = dict(standard_attacks(norm=norm, eps=eps, autoattack="autoattack" in names))
    known["pgd"] = known["pgd-20"]
    for name in (n for n in names if n not in known):
        if not host.has("attack", name) and ":" not in name:
            offered = {c.spec.name for c in host.components("attack")}
            raise ConfigError(
                f"there is no attack '{name}'" + suggest(name, {*known, "autoattack"} | offered)
            )
        known[name] = _attack_of_plugin(choose(host, "attack", name), eps=eps, norm=norm)
    return {name: known[name] for name in names}


def _attack_of_plugin(choice: Choice, *, eps: float, norm: str) -> Attack:
    """Build an attack whose images are looked at: one that leaves the ball would say too much ill of the encoder."""
    kind: type[AdversarialAttack] = choice.component.load_class()
    if norm not in kind.norms:
        raise ConfigError(f"attack {choice.name} knows no {norm}: take --norm {min(kind.norms)}")
    attack: AdversarialAttack = choice.load(eps=eps, norm=norm)

    def guarded(encoder: nn.Module, x: Tensor, y: Tensor, *, draw: Draw) -> Tensor:
        moved = attack(encoder, x, y, draw=draw).detach()
        who = f"attack {choice.name}"
        check_pixels(moved, who)
        away = (moved - x).flatten(1)
        far = float((away.abs().amax(1) if norm == "linf" else away.norm(dim=1)).max())
        if far > eps * 1.001 + 1e-6:
            raise PluginError(
                f"{who} moved an image by {far:.4g} in {norm}, where {eps:.4g} was allowed: {MEND}"
            )
        return moved

    return guarded


def _noted(
    batches: Iterable[Batch], total: int, progress: Callable[[float, float], None]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Hand batches on as attacks want them, and tell of those that are done."""
    done = 0
    for batch in batches:
        yield batch.pixels(), batch.labels, batch.indices
        done += len(batch.labels)
        progress(done, total)
