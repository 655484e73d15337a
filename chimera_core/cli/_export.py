"""``chimera encoder export`` and ``chimera fuser export``: what was trained as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, get_args

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.errors import ConfigError
from chimera_core.runs.record import find_run

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
    @click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="A .safetensors file."
    )
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
        ctx: click.Context, run: str, output: Path, dtype: DType, numbers: DType | None, as_json: bool
    ) -> None:
        from chimera_core.models.export import export_encoder, export_fuser
        from chimera_core.models.header import ExportedEncoder, ExportedFuser

        if numbers is not None:
            print("chimera: --numbers is deprecated: write --dtype", file=sys.stderr)
            dtype = numbers
        host = plugin_host(ctx)
        folder = find_run(run, host.settings.path("runs"))
        if folder is None:
            raise ConfigError(
                f"there is no run '{run}': name a folder, or a run in {host.settings.path('runs')}"
            )
        header: ExportedEncoder | ExportedFuser
        needs: tuple[str, ...] = ()
        if what == "encoder":
            header = export_encoder(folder, output, host, dtype=dtype)
        else:
            header, needs = export_fuser(folder, output, host, dtype=dtype)
        for name in needs:
            print(f"chimera: the file works only where there is an encoder named '{name}'", file=sys.stderr)
        if as_json:
            print_json(
                {"file": str(output), "bytes": output.stat().st_size, **header.model_dump(mode="json")}
            )
            return
        click.echo(str(output))

    return export
