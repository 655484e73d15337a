"""``chimera encoder export``: a trained encoder as one file."""

from __future__ import annotations

from pathlib import Path

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.errors import ConfigError
from chimera_core.runs.record import find_run


@click.command()
@click.argument("run")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .safetensors file.")
@click.option(
    "--numbers",
    type=click.Choice(["fp32", "fp16", "bf16"]),
    default="fp16",
    show_default=True,
    help="Format of the weights; norms and biases stay in fp32.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.pass_context
def export(ctx: click.Context, run: str, output: Path, numbers: str, as_json: bool) -> None:
    """Write a trained encoder as one file, to keep or to give away.

    `--encoder FILE.safetensors` then takes it wherever an encoder is asked for.
    """
    from chimera_core.models.export import export_encoder

    host = plugin_host(ctx)
    folder = find_run(run, host.settings.path("runs"))
    if folder is None:
        raise ConfigError(f"there is no run '{run}': name a folder, or a run in {host.settings.path('runs')}")
    said = export_encoder(folder, output, host, numbers=numbers)  # type: ignore[arg-type]
    if as_json:
        print_json({"file": str(output), "bytes": output.stat().st_size, **said.model_dump(mode="json")})
        return
    click.echo(str(output))
