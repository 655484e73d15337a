"""The studio as a server on this machine: a page behind a guard, a worker behind the page, and nothing left at the end."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chimera_core.errors import ConfigError, RunError
from chimera_core.files.atomic import disk_trouble
from chimera_core.files.own_folders import make_folder
from chimera_core.plugins.discovery import PluginHost, default_host
from chimera_core.studio.guard import LOOPBACK, Guard
from chimera_core.studio.parents import MAX_UPLOAD
from chimera_core.studio.private_folder import make_private_folder
from chimera_core.studio.trainings import file_of_run

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 7860
_PORTS_TRIED = 20
# A report is a page of its own: its scripts run, but as nobody's, so that they cannot use this one.
_REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src 'self' data: blob:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:; media-src data:"
)


@dataclass(frozen=True)
class Serving:
    """A studio that serves. ``address`` opens it in a browser; ``public`` is where all the world can, or empty."""

    address: str
    public: str
    server: Any
    ended: threading.Event

    def wait(self) -> None:
        """Wait until it ends, by Ctrl-C or because it was told to."""
        # Not by joining its thread: a join that Ctrl-C interrupts takes a running thread for ended (Python 3.11).
        while not self.ended.wait(0.5):
            pass

    def close(self) -> None:
        """Tell it to end."""
        self.server.should_exit = True
        if not self.ended.wait(1.5):
            self.server.force_exit = True  # pages that are open hold their connections for ever
            self.ended.wait(3)


@contextmanager
def serving(
    *,
    host: str = DEFAULT_HOST,
    port: int | None = None,
    password: str = "",
    share: bool = False,
    may_be_framed: bool = False,
    plugins: PluginHost | None = None,
) -> Iterator[Serving]:
    """Serve a studio for as long as the context lasts; its private folder goes with it.

    Args:
        host: address to listen on; another one than this machine's own wants a password.
        port: to listen on; 0: any free one; None: the first free one from ``DEFAULT_PORT`` on.
        password: that every request must bring.
        share: let Gradio's servers make a public address that leads here.
        may_be_framed: let a notebook of this machine show it in a frame.
        plugins: installed ones when None.
    Raises:
        ConfigError: if Gradio is not installed, or the address is open to others without password.
        RunError: if nothing can listen there.
    """
    if host not in LOOPBACK and not password:
        raise ConfigError(
            f"whoever reaches {host} could use the studio: give --password, or leave out --host for this machine alone"
        )
    if share and not password:
        raise ConfigError("--share shows the studio to all the world: give --password, too")
    listener = _listen(host, port)
    folder = make_private_folder()
    workshop: Any = None
    try:
        _prepare_gradio(str(folder))
        # The first import of Gradio takes seconds; the worker starts meanwhile.
        from chimera_core.studio.studio import Studio

        studio = Studio(folder, plugins or default_host())
        workshop = studio.workshop
        is_local = host in LOOPBACK and not share
        app = _guarded(studio, hosts=LOOPBACK if is_local else None, password=password, framed=may_be_framed)
        running = _serve(app, listener, host, share=share)
        try:
            yield running
        finally:
            running.close()
    finally:
        listener.close()
        if workshop is not None:
            workshop.close()
        from chimera_core.studio.private_folder import remove_private_folder

        remove_private_folder(folder)


def _prepare_gradio(folder: str) -> None:
    """Set what Gradio reads from the environment when it is imported: no telemetry, all files in the private folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for signal in ("TRACES", "METRICS", "LOGS"):  # FastAPI would send them where the environment says
        os.environ[f"OTEL_{signal}_EXPORTER"] = "none"
    os.environ["GRADIO_TEMP_DIR"] = os.path.join(folder, "page")
    for name in ("GRADIO_SHARE", "GRADIO_ALLOWED_PATHS", "GRADIO_ROOT_PATH", "GRADIO_SSR_MODE"):
        os.environ.pop(name, None)
    make_folder(os.environ["GRADIO_TEMP_DIR"], within=folder)
    tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"]  # uploads begin there


def _listen(host: str, port: int | None) -> socket.socket:
    """Take a port before anything heavy starts.

    Raises:
        RunError: if it is taken, or the address is not this machine's.
    """
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED) if port is None else (port,)
    trouble: OSError | None = None
    for number in ports:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, number))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            trouble = error
    assert trouble is not None
    raise RunError(
        f"cannot listen on {host}:{ports[-1]}: {disk_trouble(trouble)}: name another --port"
    ) from trouble


def _guarded(studio: Any, *, hosts: Collection[str] | None, password: str, framed: bool) -> Guard:
    """Build the page, with the route of runs before it and the guard around it."""
    import gradio
    from fastapi import FastAPI
    from fastapi.responses import FileResponse, PlainTextResponse

    from chimera_core.studio.look import SCRIPT, STYLE
    from chimera_core.studio.page import build_page, page_theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    below = studio.host.settings.path("runs")

    @app.get("/runs/{name:path}")  # type: ignore[untyped-decorator]
    def file_of(name: str) -> Any:
        found = file_of_run(below, name)
        if found is None:
            return PlainTextResponse("there is no such file of a run", status_code=404)
        path, kind = found
        policy = _REPORT_POLICY if kind.startswith("text/html") else "default-src 'none'; sandbox"
        return FileResponse(
            path, media_type=kind, headers={"content-security-policy": policy, "cache-control": "no-cache"}
        )

    page = build_page(studio)
    page.queue(default_concurrency_limit=None, max_size=256)
    mounted = gradio.mount_gradio_app(
        app,
        page,
        path="/",
        theme=page_theme(),
        css=STYLE,
        js=SCRIPT,
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return Guard(mounted, hosts=hosts, password=password, may_be_framed=framed)


def _serve(app: Any, listener: socket.socket, host: str, *, share: bool) -> Serving:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    server = uvicorn.Server(config)
    ended = threading.Event()

    def run() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            ended.set()

    threading.Thread(target=run, daemon=True, name="studio-server").start()
    while not server.started:
        if ended.wait(0.02):
            raise RunError("the page could not be started: its error is above")
    name = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
    port = listener.getsockname()[1]
    public = _shared(name, port) if share else ""
    return Serving(f"http://{name}:{port}/", public, server, ended)


def _shared(host: str, port: int) -> str:
    """Let Gradio's servers lead a public address here.

    Raises:
        RunError: if they cannot be reached, or their program is missing.
    """
    import secrets

    from gradio.networking import setup_tunnel

    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    except Exception as error:  # whatever the network and a downloaded program raise
        raise RunError(f"no public address could be made ({error}): leave out --share") from error
