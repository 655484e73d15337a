"""What ``chimera score`` is asked for, checked without torch, so that a mistake costs no second."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chimera_core.components.choice import Choice
from chimera_core.components.trained import SUFFIX, find_trained
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import describe_folder, quote
from chimera_core.files.text import parse_json
from chimera_core.fusing.request import FusionRequest, check_request
from chimera_core.fusing.weights import check_weights
from chimera_core.images import check_picture, read_notes
from chimera_core.images.folders import is_picture_name
from chimera_core.library.choosing import PictureScores
from chimera_core.models.fusers import find_trained_fuser, is_class_name
from chimera_core.models.run_options import FUSER, read_options
from chimera_core.options.config import suggest
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.record import RECORD
from chimera_core.scoring.judge.names import check_judge, default_judge, judge_of
from chimera_core.scoring.plugin_metrics import choose_metrics

_log = logging.getLogger(__name__)

_KIND = "fusion-generator"


@dataclass(frozen=True)
class ScorePlan:
    """A checked request.

    Args:
        parents: image files or classes of ``source``.
        masks: where their animals are, one for each parent: an image file, or ``auto``.
        files: chimeras that are there, each with its weights; empty where a fuser makes them.
        weights: that were asked for, one row for each file, or the different ones for a fuser.
        fusion: the fuser; None where chimeras are there.
        metrics: of plugins, by the names of their figures.
        reference: folder of animals; None for what comes along of such.
        source: where classes find their images, with its options.
        split: of the source; None: the one to learn from.
    """

    parents: tuple[str, ...]
    masks: tuple[str, ...]
    files: tuple[Path, ...]
    weights: tuple[tuple[float, ...], ...]
    fusion: FusionRequest | None
    judges: tuple[str, ...]
    reference: Path | None
    source: tuple[str, Mapping[str, Any]] | None
    size: int
    device: str
    host: PluginHost
    metrics: Mapping[str, Choice] = field(default_factory=dict)
    split: str | None = None


def plan_score(
    targets: Sequence[str],
    *,
    parents: Sequence[str],
    weights: Sequence[Sequence[float]],
    judges: Sequence[str],
    metrics: Sequence[str] = (),
    reference: str | None,
    source: str | None,
    source_options: Mapping[str, Any],
    split: str | None = None,
    preset: str | None,
    count: int,
    seed: int,
    size: int,
    fuse_size: int | None,
    device: str,
    host: PluginHost,
    visibility: PictureScores | None = None,
) -> ScorePlan:
    """Check a request of ``chimera score``; ``visibility`` as for ``check_request``, so that both take the same pictures.

    Raises:
        ChimeraError: naming what is wrong and the mend.
    """
    files = _pictures(targets, host)
    if len(_named(parents)) < 2:
        raise ConfigError(f"a chimera has two parents or more, but {len(parents)} was given: name another")
    fusion = None
    named: tuple[str, Mapping[str, Any]] | None = (source, source_options) if source else None
    if files is None:
        fusion = check_request(
            parents,
            weights,
            seed=seed,
            count=count,
            size=fuse_size,
            fuser=targets[0],
            preset=preset,
            source=_source_of_photographs(targets[0], source, parents, host),
            source_options=source_options,
            device=device,
            square=True,
            visibility=visibility,
            remark=_log.warning,
            host=host,
        )
        named = named or _source_of_run(fusion)
        rows = fusion.weights
    else:
        if preset is not None:
            raise ConfigError("--preset is for a fuser, but pictures were given: leave it out")
        if len(weights) > 1:
            raise ConfigError("pictures have one --weights: score those of other weights by themselves")
        rows = tuple(_weights_of(file, weights, parents) for file in files)
    masks: tuple[str, ...] = ("auto",) * len(parents)
    if fusion is not None:  # what the judge sees is what is fused: of names, their pictures and outlines
        parents, masks = fusion.parents, fusion.masks
    _check_parents(parents, named)
    if split is not None and not any(map(is_class_name, parents)):
        raise ConfigError("--split says which images stand for a class, but no parent is one: leave it out")
    names = tuple(judges) or (default_judge(host, fusion.fuser if fusion else None),)
    for k, name in enumerate(names):
        judge_of(host, name)
        if name in names[:k]:
            raise ConfigError(f"judge {quote(name)} is named twice: leave one out")
        if fusion is not None:
            check_judge(name, fusion.fuser)
    if reference is not None and not Path(reference).is_dir():
        raise DataError(f"reference {quote(reference)}: {describe_folder(reference)}")
    return ScorePlan(
        tuple(parents),
        masks,
        tuple(files or ()),
        rows,
        fusion,
        names,
        Path(reference) if reference else None,
        named,
        size,
        device,
        host,
        choose_metrics(host, metrics),
        split,
    )


def _pictures(targets: Sequence[str], host: PluginHost) -> list[Path] | None:
    """List the pictures that are named, those of folders in order of their names; None if a fuser is named."""
    if len(targets) == 1 and _is_fuser(targets[0], host):
        return None
    found: list[Path] = []
    for target in targets:
        path = Path(target)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if is_picture_name(p.name))
            if not inside:
                raise DataError(f"folder {quote(target)} has no pictures: {describe_folder(path)}")
            found += inside
        elif path.is_file() or path.suffix or len(path.parts) > 1:
            found.append(path)
        else:
            fusers = [*host.registry.models, *(c.spec.name for c in host.components(_KIND))]
            raise DataError(
                f"there is no picture, folder, run, model or fuser {quote(target)}" + suggest(target, fusers)
            )
    for file in found:
        check_picture(file)
    return found


def _is_fuser(target: str, host: PluginHost) -> bool:
    path = Path(target)
    if path.is_dir() and not (path / RECORD).is_file():
        return False
    if path.is_file() and path.suffix != SUFFIX:
        return False
    return find_trained(host, _KIND, target) is not None or host.has(_KIND, target)


def _named(parents: Sequence[str]) -> Sequence[str]:
    if not parents:
        raise ConfigError("name the parents: --parents A B, photographs, or classes with --source")
    return parents


def _source_of_photographs(
    fuser: str, source: str | None, parents: Sequence[str], host: PluginHost
) -> str | None:
    """Keep the source from a fuser that knows its classes by itself; only the judge needs it then."""
    trained = find_trained_fuser(host, fuser) if source is not None else None
    knows = trained is not None and all(trained.knows(p, None) for p in parents)
    return None if knows else source


def _source_of_run(fusion: FusionRequest) -> tuple[str, Mapping[str, Any]] | None:
    """Give the source that a run was trained on: there its classes have images."""
    trained = fusion.fuser.trained
    if trained is None or trained.trained.form != "run" or trained.trained.path is None:
        return None
    config, _ = read_options(trained.trained.path, FuserTraining, FUSER, fusion.fuser.host)
    return (config.source.name, config.source.options) if config.source is not None else None


def _check_parents(parents: Sequence[str], source: tuple[str, Mapping[str, Any]] | None) -> None:
    for parent in parents:
        if is_class_name(parent):
            if source is None:
                raise ConfigError(
                    f"the judge needs real images of class {quote(parent)}: name their data set with --source"
                )
        else:
            check_picture(Path(parent))


def _weights_of(file: Path, weights: Sequence[Sequence[float]], parents: Sequence[str]) -> tuple[float, ...]:
    """Take the weights that are given, else those that the picture says it was made with, else equal ones."""
    if weights:
        return check_weights(weights[0], len(parents), remark=_log.warning)
    try:
        noted = parse_json(read_notes(file).get("chimera.weights", "null"))
        return check_weights(noted, len(parents))
    except ConfigError:
        raise ConfigError(
            f"picture {quote(file.name)} was made with weights {noted} for other parents: name its own, or --weights"
        ) from None
    except (ChimeraError, ValueError, TypeError):
        return check_weights(None, len(parents))
