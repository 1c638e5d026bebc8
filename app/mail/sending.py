"""Sending what is queued, by SMTP.

A mail is leased before it is sent, so that two processes do not send it twice. Who is killed
between the server's yes and our note of it sends it again after the lease; its Message-ID is the
same, by which mail readers show it once. Nothing here logs an address, a password or what a server
said: its answers repeat addresses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from app.stores.mails import KeptMail, Mails
from app.stores.rows import new_id
from app.web.dates import moment
from domain.terms import DAY_MS

LEASE_MS: Final = 5 * 60_000
"""How long mails belong to who took them. Longer than a batch can take."""

BATCH: Final = 20
TIMEOUT_S: Final = 10.0
FIRST_RETRY_MS: Final = 60_000
LAST_RETRY_MS: Final = 6 * 3_600_000
GIVE_UP_MS: Final = 3 * DAY_MS
"""How long sending one mail is tried."""

PERMANENT: Final = 5
"""The first digit of a server's final no (RFC 5321, 4.2.1)."""

IMPLICIT_TLS: Final = "smtps"
DEFAULT_PORTS: Final = {"smtp": 587, IMPLICIT_TLS: 465}
HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))

_logger = logging.getLogger(__name__)


class Server(Struct, frozen=True):
    """Where mails go. `start_tls`: None turns to TLS where the server offers it."""

    host: str
    port: int
    username: str
    password: str
    use_tls: bool
    start_tls: bool | None

    def __repr__(self) -> str:
        """Never the password: a repr ends in logs."""
        return f"Server(host={self.host!r}, port={self.port})"


def server_of(url: str) -> Server:
    """Read a URL that the settings have checked."""
    parts = urlsplit(url)
    implicit = parts.scheme == IMPLICIT_TLS
    host = parts.hostname or ""
    return Server(
        host,
        parts.port or DEFAULT_PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        implicit,
        False if implicit else None if host in HERE else True,
    )


class Sender:
    """Sends due mails. `sender` is who they come from, `clock` returns ms UTC."""

    def __init__(
        self,
        mails: Mails,
        server: Server,
        *,
        sender: str,
        public_url: str,
        clock: Callable[[], int],
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._mails = mails
        self._server = server
        self._sender = sender
        self._public_url = public_url
        self._clock = clock
        self._lease_ms = lease_ms
        self._owner = new_id()
        self.fault = ""
        """Why the server could not be reached when it was last tried; names no address."""

    async def step(self) -> int:
        """Send one batch of what is due; return how many mails it was."""
        now = self._clock()
        due = await self._mails.lease(self._owner, now=now, until=now + self._lease_ms, limit=BATCH)
        if not due:
            return 0
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username or None,
            password=server.password or None,
            use_tls=server.use_tls,
            start_tls=server.start_tls,
            timeout=TIMEOUT_S,
        )
        try:
            async with client:
                for mail in due:
                    await self._send(client, mail)
        except (aiosmtplib.SMTPException, OSError, ValueError) as fault:
            # Nobody was reached, or the way broke off: what is not settled is tried again.
            self.fault = _named(fault)
            _logger.warning("mails could not be sent: %s; they are tried again", self.fault)
            for mail in due:
                await self._later(mail, self.fault)
        else:
            self.fault = ""
        return len(due)

    async def _send(self, client: aiosmtplib.SMTP, mail: KeptMail) -> None:
        """Send one mail, or note why not. Raises what means that the server is gone."""
        try:
            await client.send_message(
                message_of(mail, sender=self._sender, public_url=self._public_url)
            )
        except OSError:
            raise
        except aiosmtplib.SMTPSenderRefused as refused:  # our setting's fault, not the mail's
            await self._later(mail, f"the sender was refused with {refused.code}")
        except Exception as fault:  # noqa: BLE001 - the next mail is not held up
            code = _code(fault)
            unwritable = isinstance(fault, (ValueError, aiosmtplib.SMTPNotSupported))
            if not unwritable and code // 100 != PERMANENT:
                await self._later(mail, _named(fault))
                return
            error = _named(fault)
            await self._mails.failed(mail.id, self._owner, at=self._clock(), error=error)
            _logger.warning("mail %s will not be sent: %s", mail.id, error)
        else:
            await self._mails.sent(mail.id, self._owner, at=self._clock())

    async def _later(self, mail: KeptMail, error: str) -> None:
        now = self._clock()
        if now - mail.created_at >= GIVE_UP_MS:
            await self._mails.failed(mail.id, self._owner, at=now, error=error)
            _logger.warning("mail %s was given up: %s", mail.id, error)
            return
        pause = min(FIRST_RETRY_MS << min(mail.attempts - 1, 20), LAST_RETRY_MS)
        await self._mails.later(mail.id, self._owner, due_at=now + pause, error=error)


def message_of(mail: KeptMail, *, sender: str, public_url: str) -> EmailMessage:
    """The message as it goes over the wire. Raises ValueError for an impossible address."""
    message = EmailMessage()
    name, address = parseaddr(sender)
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = Address(addr_spec=mail.address)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(moment(mail.created_at))
    host = urlsplit(public_url).hostname or "localhost"
    message["Message-ID"] = f"<{mail.id}@{host}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday notes do not answer it
    message["Content-Language"] = mail.language
    if mail.off_path:
        message["List-Unsubscribe"] = f"<{public_url}{mail.off_path}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    return message


def _code(refused: Exception) -> int:
    """The server's code; of several recipients there is one."""
    if isinstance(refused, aiosmtplib.SMTPRecipientsRefused):
        return refused.recipients[0].code if refused.recipients else 0
    return refused.code if isinstance(refused, aiosmtplib.SMTPResponseException) else 0


def _named(fault: Exception) -> str:
    """What went wrong, without what the server said."""
    code = _code(fault)
    return f"{type(fault).__name__} {code}" if code else type(fault).__name__
