"""``chimera encoder export`` and ``chimera fuser export``: what was trained as one file."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.errors import ConfigError
from chimera_core.runs.record import find_run

if TYPE_CHECKING:
    from chimera_core.downloads.hub import HubAddress
    from chimera_core.models.header import ExportedEncoder, ExportedFuser
    from chimera_core.plugins.discovery import PluginHost

DType = Literal["fp32", "fp16", "bf16"]
_DTYPES = get_args(DType)
_THEN = {
    "encoder": "`--encoder FILE.safetensors` then takes it wherever an encoder is asked for.",
    "fuser": "`chimera fuse A B --fuser FILE.safetensors` then takes it.",
}


def export_command(what: Literal["encoder", "fuser"]) -> click.Command:
    """Make the command that exports a trained encoder or fuser."""

    @click.command(
        "export", help=f"Write a trained {what} as one file, to keep or to give away.\n\n{_THEN[what]}"
    )
    @click.argument("run")
    @click.option("-o", "--output", type=click.Path(path_type=Path), help="A .safetensors file.")
    @click.option(
        "--to",
        help="Upload it to the Hugging Face hub, with a card: hf://owner/name, or hf://owner/name/FILE.safetensors. "
        "Your login is that of `hf auth login`.",
    )
    @click.option("--licence", default="", help="With --to: the licence of the weights, e.g. cc-by-nc-4.0.")
    @click.option("--private", is_flag=True, help="With --to: a repository that is made is private.")
    @click.option(
        "--dtype",
        type=click.Choice(_DTYPES),
        default="fp16",
        show_default=True,
        help="Data type of the weights; norms and biases stay in fp32.",
    )
    @click.option("--numbers", type=click.Choice(_DTYPES), hidden=True)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
    @click.pass_context
    def export(
        ctx: click.Context,
        run: str,
        output: Path | None,
        to: str | None,
        licence: str,
        private: bool,
        dtype: DType,
        numbers: DType | None,
        as_json: bool,
    ) -> None:
        if output is None and to is None:
            raise ConfigError("say where to: -o FILE.safetensors, or --to hf://owner/name")
        if numbers is not None:
            print("chimera: --numbers is deprecated: write --dtype", file=sys.stderr)
            dtype = numbers
        host = plugin_host(ctx)
        folder = find_run(run, host.settings.path("runs"))
        if folder is None:
            raise ConfigError(
                f"there is no run '{run}': name a folder, or a run in {host.settings.path('runs')}"
            )
        address = _address(to, folder, licence) if to is not None else None
        with tempfile.TemporaryDirectory() as scratch:
            file = output or Path(scratch) / "model.safetensors"
            header, needs = _write(what, folder, file, host, dtype)
            found = {"bytes": file.stat().st_size, **header.model_dump(mode="json")}
            for name in needs:
                message = f"chimera: the file works only where there is an encoder named '{name}'"
                print(message, file=sys.stderr)
            if address is not None:
                found["address"] = _publish(
                    what, folder, file, address, host, licence=licence, private=private
                )
        if as_json:
            print_json({"file": str(output) if output else "", **found})
            return
        if output:
            click.echo(str(output))
        if address is not None:
            click.echo(found["address"])

    return export


def _write(
    what: str, run: Path, file: Path, host: PluginHost, dtype: DType
) -> tuple[ExportedEncoder | ExportedFuser, tuple[str, ...]]:
    from chimera_core.models.export import export_encoder, export_fuser

    if what == "encoder":
        return export_encoder(run, file, host, dtype=dtype), ()
    return export_fuser(run, file, host, dtype=dtype)


def _address(to: str, run: Path, licence: str) -> HubAddress:
    """Read where it goes before anything is written."""
    from chimera_core.downloads.hub import library, read_hub_address
    from chimera_core.models.card import check_licence

    check_licence(licence)
    library()
    whole = to.rstrip("/")
    if whole.removeprefix("hf://").count("/") == 1:
        whole += f"/{run.name}.safetensors"
    address = read_hub_address(whole)
    if address.revision or not address.file.endswith(".safetensors"):
        raise ConfigError(
            f"--to {to} is not hf://owner/name or hf://owner/name/FILE.safetensors, without revision"
        )
    return address


def _publish(
    what: str, run: Path, file: Path, address: HubAddress, host: PluginHost, *, licence: str, private: bool
) -> str:
    """Upload file, card and samples: the address with its commit."""
    from dataclasses import replace

    from chimera_core.models.card import check_licence, write_card
    from chimera_core.models.publish import publish, samples_of

    samples = samples_of(run)
    start = "chimera fuse A B --fuser" + (" style-transfer --encoder" if what == "encoder" else "")
    card = write_card(
        run,
        host,
        name=address.repository.partition("/")[2],
        use=f"{start} {address}",
        licence=check_licence(licence),
        pictures={name: shown for name, (_, shown) in samples.items()},
    )
    files = {address.file: file, **{name: path for name, (path, _) in samples.items()}}
    commit, is_new = publish(address, files, card, private=private)
    if not is_new:
        print("chimera: the card that is there stays", file=sys.stderr)
    return str(replace(address, revision=commit))
