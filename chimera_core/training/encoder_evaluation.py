"""What ``chimera encoder evaluate`` says of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from chimera_core.attacks.catalogue import Attack, standard_attacks
from chimera_core.attacks.evaluate import evaluate_attacks
from chimera_core.data.batches import Batch, ImageSplit, evaluation_batches
from chimera_core.data.subsets import spread_subset
from chimera_core.devices import select_device
from chimera_core.errors import ConfigError
from chimera_core.interfaces import no_progress
from chimera_core.options import suggest
from chimera_core.plugins import PluginHost
from chimera_core.training.encoder_run import check_encoder, choose_splits, open_source_of, pack_data
from chimera_core.training.evaluation import count_predictions
from chimera_core.training.trained import load_trained_encoder, read_training


def evaluate_run(
    run: Path,
    host: PluginHost,
    *,
    split: str | None = None,
    attacks: Sequence[str] = (),
    eps: float = 4 / 255,
    norm: str = "linf",
    limit: int | None = None,
    batch: int = 128,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[float, float], None] = no_progress,
) -> dict[str, Any]:
    """Evaluate a run's best weights in fp32.

    Args:
        run: folder of the run.
        host: where its source and encoder are found.
        split: which; None: the one it was validated on.
        attacks: names of attacks.
        eps: their radius, on the [0, 1] pixel scale.
        norm: ``linf`` or ``l2``.
        limit: only so many images, evenly out of the split.
        batch: images at a time.
        seed: of the attacks.
        device: where.
        progress: called with (done, total) in images.
    Returns:
        ``{split, n, accuracy, macro_f1, attacks: {name: accuracy}, domains: [{domain, n, accuracy, macro_f1}]}``;
        with attacks also ``worst``, ``eps`` and ``norm``.
    Raises:
        ChimeraError: for a run, split or attack that cannot be used.
    """
    where = select_device(device)
    chosen = _find_attacks(attacks, eps=eps, norm=norm)
    config, record = read_training(run)
    encoder = load_trained_encoder(run, host).to(where)
    packed = pack_data(open_source_of(config.source, host), host, config.size, config.fit)
    if list(packed.classes) != record.get("classes", list(packed.classes)):
        raise ConfigError(f"the source has other classes now than run '{run.name}' learned: train another")
    _, val, val_name = choose_splits(packed, config)
    name = split or val_name
    if split is not None and split not in packed.splits and split != val_name:
        raise ConfigError(f"there is no split '{split}'" + suggest(split, [*packed.splits, val_name]))
    images: ImageSplit = val if name == val_name else packed.split(name)
    if limit is not None:
        images = spread_subset(images, limit)
    if not len(images):
        raise ConfigError(f"split '{name}' has no images: name another")
    check_encoder(encoder, classes=len(packed.classes), size=config.size, name=config.encoder.name)
    total = len(images)
    counts = count_predictions(
        encoder,
        evaluation_batches(images, batch=batch, device=where),
        classes=len(packed.classes),
        domains=len(packed.domains),
        device=where,
        progress=lambda done: progress(0 if chosen else done, total),
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
    return found


def _find_attacks(names: Sequence[str], *, eps: float, norm: str) -> dict[str, Attack]:
    """Look attacks up by name; ``pgd`` is short for ``pgd-20``.

    Raises:
        ConfigError: for an unknown name, or a radius that makes no sense.
    """
    if not names:
        return {}
    known = dict(standard_attacks(norm=norm, eps=eps, autoattack="autoattack" in names))
    known["pgd"] = known["pgd-20"]
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no attack '{name}'" + suggest(name, {*known, "autoattack"}))
    return {name: known[name] for name in names}


def _noted(
    batches: Iterable[Batch], total: int, progress: Callable[[float, float], None]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Hand batches on as attacks want them, and tell of those that are done."""
    done = 0
    for batch in batches:
        yield batch.pixels(), batch.labels, batch.indices
        done += len(batch.labels)
        progress(done, total)
