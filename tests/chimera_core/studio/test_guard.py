"""Who may ask the studio for anything."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from chimera_core.studio import guard
from chimera_core.studio.guard import LOOPBACK, Guard

HERE = "127.0.0.1:7860"


async def page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def ask(
    path: str = "/", *, method: str = "GET", hosts: Any = LOOPBACK, password: str = "", **headers: str
) -> tuple[int, dict[str, str]]:
    given = {"host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Guard(page, hosts=hosts, password=password)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860"])
def test_this_machine_is_let_in(host: str) -> None:
    status, headers = ask(host=host, origin=f"http://{host}")
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_pointed_here_is_refused(host: str) -> None:
    assert ask(host=host)[0] == 403


@pytest.mark.parametrize(
    "path", ["/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/run/predict", "/"]
)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:7860"]
)
def test_a_page_elsewhere_cannot_post(path: str, origin: str) -> None:
    assert ask(path, method="POST", origin=origin)[0] == 403


def test_a_form_or_script_of_another_site_is_refused_and_a_link_opens_the_page() -> None:
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="no-cors")[0] == 403
    assert ask(method="POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 403
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://x",
        "/monitoring",
        "/gradio_api/vibe-edit",
        "/gradio_api/process_recording",
        "/docs",
    ],
)
def test_what_the_page_does_not_need_is_not_there(path: str) -> None:
    assert ask(path)[0] == 403


def test_a_password_is_asked_of_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_WRONG_PASSWORD_S", 0)

    def basic(word: str) -> str:
        return "Basic " + base64.b64encode(f"anyone:{word}".encode()).decode()

    open_to_all: dict[str, Any] = {"hosts": None, "password": "päss:word", "host": "studio.lan"}
    status, headers = ask(**open_to_all)
    assert status == 401 and headers["www-authenticate"].startswith("Basic")
    assert ask("/gradio_api/file=x", **open_to_all)[0] == 401
    for wrong in (basic("päss:worD"), basic(""), "Basic !", "Bearer x", ""):
        assert ask(authorization=wrong, **open_to_all)[0] == 401
    assert ask(authorization=basic("päss:word"), **open_to_all)[0] == 200
    assert (
        ask(authorization=basic("päss:word"), method="POST", origin="https://evil.example", **open_to_all)[0]
        == 403
    )
