"""HEAD: what GET would answer, without the body. Link checkers and previews ask so."""

from __future__ import annotations

from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send


def answer_heads(app: ASGIApp) -> ASGIApp:
    """Let an application answer HEAD wherever it answers GET."""

    async def heads(scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != ScopeType.HTTP
            or scope["method"] != "HEAD"
            or scope["path"].startswith("/api/")  # programs are told which methods there are
        ):
            await app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif message["type"] == "http.response.body" and not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        # The server keeps its own scope: it has to know that no body follows.
        asked = cast("HTTPScope", {**scope, "method": "GET"})
        await app(asked, receive, send_head)

    return heads
