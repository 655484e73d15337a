"""Who may ask the page for anything: this machine's own pages, or whoever knows the password. Torch-free.

A page elsewhere could send requests to 127.0.0.1 from a user's browser: they carry its ``Origin`` and are refused.
One whose name was pointed at 127.0.0.1 meanwhile (DNS rebinding) carries its own ``Host``, and is refused, too.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# What the page needs of Gradio; it has more, such as proxies and recordings.
_PATHS = re.compile(
    r"/|/(assets|static|svelte|runs)/.*|/(theme\.css|favicon\.ico|config/?|manifest\.json|robots\.txt|pwa_icon.*)"
    r"|/gradio_api/(info/?|queue/.*|upload|upload_progress|file=.*|heartbeat/.*|cancel|reset/?|startup-events|app_id/?"
    r"|login_check/?|run/.*|component_server/?|theme\.css)"
)
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; form-action 'self'; base-uri 'self'; object-src 'none'"
)
_WRONG_PASSWORD_S = 1.0


class Guard:
    """Stands before the page.

    Args:
        app: the page.
        hosts: names under which it may be asked for; None: any, where a password protects it.
        password: that every request must bring; empty: none.
        may_be_framed: by notebooks on this machine.
    """

    def __init__(
        self,
        app: Any,
        *,
        hosts: Iterable[str] | None,
        password: str = "",
        may_be_framed: bool = False,
    ) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)
        self._password = password
        frames = "'self' http://localhost:* http://127.0.0.1:* vscode-webview:" if may_be_framed else "'self'"
        self._policy = f"{_POLICY}; frame-ancestors {frames}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it in one line."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if trouble := self._trouble(scope, headers):
            await _answer(send, 403, trouble)
            return
        if self._password and not self._knows_password(headers.get("authorization", "")):
            if "authorization" in headers:
                await asyncio.sleep(_WRONG_PASSWORD_S)
            await _answer(
                send, 401, "a password is needed", (b"www-authenticate", b'Basic realm="Chimera Studio"')
            )
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {key.lower() for key, _ in message["headers"]}
                own = (
                    (b"content-security-policy", self._policy),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cross-origin-resource-policy", b"same-origin"),
                )
                message["headers"] = [*message["headers"], *((k, v) for k, v in own if k not in present)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _trouble(self, scope: Scope, headers: MutableMapping[str, str]) -> str:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self._hosts is not None and name not in self._hosts:
            return f"this page is not {name or 'nameless'}: open it under the address that was printed"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "another page asked, which may not"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _is_opened(scope, headers):
            return "another page asked, which may not"
        if not _PATHS.fullmatch(scope["path"]):
            return "there is no such page"
        return ""

    def _knows_password(self, given: str) -> bool:
        kind, _, code = given.partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            words = base64.b64decode(code, validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(words.partition(b":")[2], self._password.encode())


def _is_opened(scope: Scope, headers: MutableMapping[str, str]) -> bool:
    """Return whether a user follows a link here: that opens the page, and does nothing on it."""
    return scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers]})
    await send({"type": "http.response.body", "body": body})
