"""``chimera studio``: a page to look, turn and keep, on this machine."""

from __future__ import annotations

import importlib.util
import os
import sys
import webbrowser

import click

from chimera_core.cli._host import plugin_host
from chimera_core.cli._output import print_json
from chimera_core.errors import ConfigError
from chimera_core.studio.notebook import NEEDS_EXTRA


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another one needs a password.",
)
@click.option(
    "--password",
    help="Ask every visitor for it (any user name). Better in CHIMERA_STUDIO_PASSWORD, which other users do not see; "
    "- asks for it here.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port; 0 takes any free one.  [default: the first free one from 7860]",
)
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option(
    "--share",
    is_flag=True,
    help="Make a public address by Gradio's servers, for a week at most. Whoever knows it and the password sees your "
    "photographs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document with the address instead.")
@click.pass_context
def studio(
    ctx: click.Context,
    host: str,
    password: str | None,
    port: int | None,
    no_browser: bool,
    share: bool,
    as_json: bool,
) -> None:
    """Open a page in the browser: drop photographs, turn the weight, keep what pleases.

    Everything stays on this machine; what was uploaded is removed when the studio ends. End it with Ctrl-C.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(NEEDS_EXTRA)
    if password == "-":
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    password = password or os.environ.get("CHIMERA_STUDIO_PASSWORD", "")
    from chimera_core.studio.server import serving

    with serving(host=host, port=port, password=password, share=share, plugins=plugin_host(ctx)) as running:
        if as_json:
            print_json({"address": running.address, "public": running.public, "pid": os.getpid()})
            sys.stdout.flush()
        else:
            click.echo(f"studio: {running.address}")
            if running.public:
                print(f"public for a week at most: {running.public}", file=sys.stderr)
            print("Ctrl-C ends it; what was uploaded goes with it", file=sys.stderr)
            sys.stdout.flush()
        if not no_browser:
            webbrowser.open(running.address)
        running.wait()
