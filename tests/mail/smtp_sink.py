"""A mail server of a test: it takes what it is told to take, and keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default


class Sink:
    """What arrived, and how recipients are answered: a code for each address."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.port = 0
        self.answer: Callable[[str], int] = lambda _address: 250
        self.drop_after = -1
        """After so many messages the connection breaks before the next is answered."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak just enough of RFC 5321."""

        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 sink")
        try:
            while line := await reader.readline():
                verb = line.decode().strip().upper()
                if verb.startswith("RCPT TO:"):
                    code = self.answer(line.decode().partition("<")[2].partition(">")[0])
                    say(f"{code} about that address")
                elif verb == "DATA":
                    say("354 go on")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    message = message_from_bytes(
                        body[:-3].replace(b"\r\n..", b"\r\n."), policy=default
                    )
                    assert isinstance(message, EmailMessage)
                    self.messages.append(message)
                    if len(self.messages) == self.drop_after:
                        return
                    say("250 taken")
                elif verb == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 sink")
        finally:
            writer.close()


@asynccontextmanager
async def smtp_sink() -> AsyncIterator[Sink]:
    """Run a sink on a free port of this machine."""
    sink = Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    async with server:
        yield sink
