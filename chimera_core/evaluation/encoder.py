"""What ``chimera encoder evaluate`` says of a trained encoder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from chimera_core.attacks.budget import check_budget
from chimera_core.attacks.catalogue import Attack, standard_attacks
from chimera_core.components.choice import Choice, choose
from chimera_core.components.trained import Trained, model_file
from chimera_core.data.batches import Batch, evaluation_batches
from chimera_core.data.subsets import spread_subset
from chimera_core.devices import select_device
from chimera_core.errors import ConfigError, PluginError, RunError
from chimera_core.evaluation.attacked import evaluate_attacks, masking_attacks, masking_signs
from chimera_core.evaluation.data import MeasuredImages, other_images, own_images
from chimera_core.files.own_folders import open_own
from chimera_core.interfaces.additions import AdversarialAttack
from chimera_core.interfaces.components import FeatureEncoder, no_progress
from chimera_core.interfaces.guards import MEND, check_pixels
from chimera_core.models.encoders import load_trained, read_training
from chimera_core.models.header import ExportedEncoder, read_header
from chimera_core.options.config import SourceRef, suggest
from chimera_core.options.training import EncoderTraining, ImageTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.statistics import wilson_interval
from chimera_core.training.encoder_plan import check_encoder
from chimera_core.training.parts.accuracy import count_predictions

FILE = "evaluations.jsonl"
"""In a run's folder: what was measured of it, one JSON object a line."""
_log = logging.getLogger(__name__)


def evaluate_trained(
    trained: Trained,
    host: PluginHost,
    *,
    data: EncoderTraining | None = None,
    source: str | None = None,
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
    """Evaluate the best weights of a run, or an exported encoder, in fp32; what is found of a run is kept in its folder.

    Args:
        data: the training whose source, size and held-out part are used; None: the run's own.
        source: any other, whose classes are matched by name; None: the training's.
        source_options: of ``source``; without one, laid over those of the training's: where the data lie now, say.
        split: which; None: the one that the training validates on, of another source the one to test on.
        eps: their radius, on the [0, 1] pixel scale.
        norm: ``linf`` or ``l2``.
        masking: also look for signs of masked gradients, by four attacks of its own.
        limit: only so many images, evenly out of the split.
        progress: called with (done, total) in images.
    Returns:
        ``{key, source, split, n, accuracy, accuracy_low, accuracy_high, macro_f1, left_out, unknown_classes, attacks:
        {name: accuracy}, domains: [{domain, n, accuracy, accuracy_low, accuracy_high, macro_f1}]}``; with attacks also
        ``worst``, ``eps`` and ``norm``; with masking also ``masking``, a sentence for each sign. ``key`` names data and
        split; ``accuracy_low`` to ``accuracy_high`` is Wilson's 95 % interval.
    Raises:
        ChimeraError: for an encoder, split or attack that cannot be used.
    """
    where = select_device(device)
    chosen = _find_attacks(attacks, host, eps=eps, norm=norm)
    encoder, measured, size = _what_and_on_what(trained, host, data, source, source_options or {}, split)
    encoder = encoder.to(where)
    images = measured.images if limit is None else spread_subset(measured.images, limit)
    if not len(images):
        raise ConfigError(f"split '{measured.split}' has no images: name another")
    check_encoder(encoder, classes=len(measured.classes), size=size, name=trained.name)
    total = len(images)
    counts = count_predictions(
        encoder,
        evaluation_batches(images, batch=batch, device=where),
        classes=len(measured.classes),
        domains=len(measured.domains),
        device=where,
        progress=lambda done: progress(0 if chosen or masking else done, total),
    )
    found: dict[str, Any] = {
        "key": measured.key,
        "source": measured.source,
        "split": measured.split,
        "n": counts.n,
        "accuracy": counts.accuracy,
        **_interval(counts.accuracy, counts.n),
        "macro_f1": counts.macro_f1,
        "left_out": measured.left_out,
        "unknown_classes": list(measured.unknown),
        "attacks": {},
        "domains": [
            row | _interval(row["accuracy"], row["n"])
            for row in (counts.by_domain(measured.domains) if measured.domains else ())
        ],
    }
    if chosen:
        batches = _noted(evaluation_batches(images, batch=batch, device=where), total, progress)
        results = evaluate_attacks(encoder, batches, chosen, seed=seed)
        found["attacks"] = {name: results.accuracy(name) for name in chosen}
        found |= {"worst": results.accuracy("worst"), "eps": eps, "norm": norm}
    if masking:
        batches = _noted(evaluation_batches(images, batch=batch, device=where), total, progress)
        looking = masking_attacks(norm=norm, eps=eps, shape=(3, size, size))
        found["masking"] = masking_signs(evaluate_attacks(encoder, batches, looking, seed=seed))
    if trained.form == "run" and trained.path is not None:
        _keep(trained.path, found | {"limit": limit, "seed": seed})
    return found


def _what_and_on_what(
    trained: Trained,
    host: PluginHost,
    data: EncoderTraining | None,
    source: str | None,
    source_options: Mapping[str, Any],
    split: str | None,
) -> tuple[FeatureEncoder, MeasuredImages, int]:
    """Load what is evaluated: the encoder, the images, and their side in pixels."""
    config: EncoderTraining | None
    if trained.form == "run" and trained.path is not None:
        own, record = read_training(trained.path, host)
        config, classes, size = data or own, record.get("classes", ()), own.size
    else:
        if data is None and source is None:
            raise ConfigError(
                f"{trained} does not say on which data: give a training's --config, or name a --source"
            )
        header = read_header(trained.path or model_file(host, trained.name), ExportedEncoder)
        config, classes, size = data, header.classes, header.size
    encoder = load_trained(trained, host)
    if source is not None:
        named = SourceRef(name=source, options=dict(source_options))
        shape = {"size": config.size, "fit": config.fit} if config else {"size": size}
        other = ImageTraining.model_validate({"source": named, **shape})
        return encoder, other_images(other, host, trained, classes, split=split), other.size
    assert config is not None
    if source_options:
        options = {**config.source.options, **source_options}
        config = config.model_copy(update={"source": config.source.model_copy(update={"options": options})})
    return encoder, own_images(config, host, trained, classes, split=split), config.size


def _interval(accuracy: float, n: int) -> dict[str, float]:
    low, high = wilson_interval(round(accuracy * n), n)
    return {"accuracy_low": low, "accuracy_high": high}


def _keep(run: Path, found: Mapping[str, Any]) -> None:
    """Add what was found to what the run's folder keeps of other data, splits and attacks."""
    line = json.dumps(found, ensure_ascii=False)
    try:
        with open_own(run / FILE, "append") as file:
            file.write(line.encode() + b"\n")
    except (OSError, RunError) as error:  # somebody else's run, say: the answer is what was asked for
        _log.warning("what was found is not kept in the run: %s", error)


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
