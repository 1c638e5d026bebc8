"""Tokens in mails: who follows such a link proves that they read the mail of an address.

A token works once, for one purpose, until it ends. Only the SHA-256 of it is kept: it has 256
random bits, so who reads the table can follow no link.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import Column, Index, LargeBinary, RowMapping, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.rows import METADATA, Number, Text, one_row

Purpose = Literal["confirm", "sign_in", "reset", "change_mail", "join"]
"""What a link is for: to confirm an account's address, to sign in, to choose a new password, to
move an account to another address, to join an earlier pledge to an account."""

_HOUR_MS: Final = 3_600_000

LIFETIMES_MS: Final[Mapping[Purpose, int]] = {
    "confirm": 7 * 24 * _HOUR_MS,
    "sign_in": _HOUR_MS,
    "reset": _HOUR_MS,
    "change_mail": 24 * _HOUR_MS,
    "join": 30 * 24 * _HOUR_MS,
}
"""How long a link works, in milliseconds: short where it opens an account that somebody uses."""

TOKEN_BYTES: Final = 32

MAIL_TOKENS: Final = Table(
    "mail_tokens",
    METADATA,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("mail", Text, nullable=False),
    Column("joins", Text, nullable=False),
    Column("next", Text, nullable=False),
    Column("browser_mark", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("password_hash", Text),
    Column("created_at", Number, nullable=False),
    Column("expires_at", Number, nullable=False),
    Index("mail_tokens_by_party", "party"),
    Index("mail_tokens_by_end", "expires_at"),
    sqlite_strict=True,
)


class MailToken(Struct, frozen=True, kw_only=True):
    """What a link stands for.

    `party` is the account it opens, empty where there is none yet, and `mail` the address it went
    to. `joins` is the party that joins the account (of purpose `join`), `next` the local path to
    go on to. The rest is a sign-up that waits for its address to be proved: the name, language
    and password that were chosen, and a mark that knows the browser in which that was.
    """

    purpose: Purpose
    party: str
    mail: str
    joins: str = ""
    next: str = ""
    browser_mark: str = ""
    name: str = ""
    language: str = ""
    password_hash: str = ""


class MailTokens:
    """The links that are on their way or in somebody's mail box."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def issue(self, token: MailToken, *, at: int) -> str:
        """Make a link's token, and return it: it is never seen again."""
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        row = {
            "token_hash": _hash(secret),
            "purpose": token.purpose,
            "party": token.party,
            "mail": token.mail,
            "joins": token.joins,
            "next": token.next,
            "browser_mark": token.browser_mark,
            "name": token.name,
            "language": token.language,
            "password_hash": token.password_hash or None,
            "created_at": at,
            "expires_at": at + LIFETIMES_MS[token.purpose],
        }
        async with self._engine.begin() as connection:
            await connection.execute(delete(MAIL_TOKENS).where(MAIL_TOKENS.c.expires_at <= at))
            await connection.execute(insert(MAIL_TOKENS), row)
        return secret

    async def find(self, secret: str, *purposes: Purpose, at: int) -> MailToken | None:
        """What a token is good for now, without using it; None where it is good for none of these.

        Programs that look for harm in mails open every link: only a click on the page uses it.
        """
        query = select(MAIL_TOKENS).where(
            MAIL_TOKENS.c.token_hash == _hash(secret),
            MAIL_TOKENS.c.purpose.in_(purposes),
            MAIL_TOKENS.c.expires_at > at,
        )
        row = await one_row(self._engine, query)
        return None if row is None else _token(row)

    async def use(self, secret: str, *purposes: Purpose, at: int) -> MailToken | None:
        """Use a token up, and return what it was good for; None for all but the first to do so."""
        used = (
            delete(MAIL_TOKENS)
            .where(
                MAIL_TOKENS.c.token_hash == _hash(secret),
                MAIL_TOKENS.c.purpose.in_(purposes),
                MAIL_TOKENS.c.expires_at > at,
            )
            .returning(MAIL_TOKENS)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(used)).mappings().one_or_none()
        return None if row is None else _token(row)

    async def is_waiting(self, purpose: Purpose, party: str, *, joins: str = "", at: int) -> bool:
        """Whether a link of this kind was sent for a party and still works."""
        query = select(MAIL_TOKENS.c.party).where(
            MAIL_TOKENS.c.purpose == purpose,
            MAIL_TOKENS.c.party == party,
            MAIL_TOKENS.c.joins == joins,
            MAIL_TOKENS.c.expires_at > at,
        )
        return await one_row(self._engine, query.limit(1)) is not None

    async def end_all(self, party: str, *purposes: Purpose) -> None:
        """End the links of these kinds that were sent for an account."""
        async with self._engine.begin() as connection:
            await connection.execute(
                delete(MAIL_TOKENS).where(
                    MAIL_TOKENS.c.party == party, MAIL_TOKENS.c.purpose.in_(purposes)
                )
            )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: RowMapping) -> MailToken:
    return MailToken(
        purpose=row["purpose"],
        party=row["party"],
        mail=row["mail"],
        joins=row["joins"],
        next=row["next"],
        browser_mark=row["browser_mark"],
        name=row["name"],
        language=row["language"],
        password_hash=row["password_hash"] or "",
    )
