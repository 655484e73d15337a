"""The judges of an experiment: who they are, and that none of them is a fuser's own encoder. Torch-free."""

from __future__ import annotations

from typing import Any

from chimera_core.compare.experiment.file import Said
from chimera_core.compare.experiment.fusers import FuserEntry
from chimera_core.compare.making.identity import encoder_identity
from chimera_core.components.choice import check_options
from chimera_core.components.layers import build_config
from chimera_core.components.options import Config
from chimera_core.errors import ChimeraError
from chimera_core.models.names import find_trained
from chimera_core.plugins.discovery import PluginHost
from chimera_core.scoring.judge.names import judge_network, judge_of, networks_of


def judge_identities(said: Said, host: PluginHost) -> dict[str, dict[str, Any]]:
    """Look up the judges, by the keys ``judge`` and ``judge2``.

    Raises:
        ConfigError, PluginError: if one is unknown, or its options are wrong.
    """
    found = {}
    for key, table in said.judges.items():
        try:
            judge = judge_of(host, table.encoder, table.options)
        except ChimeraError as error:
            raise said.error(error, key, "encoder") from None
        if trained := find_trained(host, "feature-encoder", judge.component):
            build_config(Config, table.options, where=f"{said.file.place((key, 'options'))}: {trained}")
        else:
            check_options(host.find("feature-encoder", judge.component), host, said.layer(key, "options"))
        try:
            found[key] = encoder_identity(host, judge.component, judge.options)
        except ChimeraError as error:
            raise said.error(error, key) from None
    if len({judge_network(host, table.encoder, table.options) for table in said.judges.values()}) < len(
        found
    ):
        raise said.error("it is the first judge again: name an encoder of another architecture", "judge2")
    return found


def check_judges(said: Said, host: PluginHost, entries: list[FuserEntry]) -> None:
    """Refuse a judge in whose features a fuser works: it would judge itself.

    Raises:
        ConfigError: naming both.
    """
    networks = {key: judge_network(host, table.encoder, table.options) for key, table in said.judges.items()}
    for entry in entries:
        own = networks_of(host, entry.config)
        for key, network in networks.items():
            if network in own:
                raise said.error(
                    f"{said.judges[key].encoder} is the encoder of fuser {entry.id}, which would judge itself: "
                    "name another judge",
                    key,
                )
