"""Which language a page speaks, and its sentences in that language.

English is the language of the source: a sentence is its own key. Every other language has a folder
of catalogues (`locale/<language>/<area>.po`, gettext's format), one for each area of the site,
read once. The language of a request is, in this order: `?lang=` in its address (then kept in a
cookie), the cookie, what the browser asks for, English.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from babel import Locale
from babel.messages.pofile import read_po
from litestar import Request
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from app.web.security import with_missing

Language = Literal["en", "zh-Hans"]
"""The languages of the site, as HTML names them."""

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
OWN_NAMES: Final[dict[Language, str]] = {"en": "English", "zh-Hans": "中文"}
COOKIE: Final = "tributary_language"
PARAMETER: Final = "lang"
FOLDER: Final = Path(__file__).parent / "locale"
_COOKIE_AGE_S: Final = 365 * 86_400
_COOKIE_NAME: Final = COOKIE.encode()
_LONGEST_ASKED: Final = 200
"""Bytes of `accept-language` that are looked at."""
_SAID: Final = {name: (b"content-language", name.encode()) for name in LANGUAGES}
_LOCALES: Final[dict[Language, Locale]] = {
    "en": Locale("en"),
    "zh-Hans": Locale("zh", "CN", script="Hans"),
}

_current: ContextVar[Language] = ContextVar("language", default="en")

Key = tuple[str | None, str]
"""A sentence's context (mostly none) and the sentence in English; of a plural, its singular."""


def current() -> Language:
    """The language of the request, mail or document that is being made."""
    return _current.get()


def locale() -> Locale:
    """How that language writes numbers and dates."""
    return _LOCALES[current()]


def direction(text_language: str) -> str:
    """The `lang` that HTML should say of a text written in this language; empty for the page's."""
    return "" if text_language == current() else text_language


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak this language for a while: for mails and documents, which have no request."""
    token = _current.set(known(language) or "en")
    try:
        yield
    finally:
        _current.reset(token)


def known(text: str) -> Language | None:
    """The language of the site that a tag such as `zh-CN` or `en_GB` means; None where none."""
    tag = text.strip().replace("_", "-").lower()
    if tag.startswith("zh"):
        return "zh-Hans"
    return "en" if tag.partition("-")[0] == "en" else None


# --- Sentences -----------------------------------------------------------------------------------


@cache
def sentences(language: Language) -> dict[Key, str]:
    """Every sentence of a language that has catalogues."""
    found: dict[Key, str] = {}
    for path in sorted((FOLDER / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                if not message.id or message.fuzzy:
                    continue
                key = message.id if isinstance(message.id, str) else message.id[0]
                told = message.string or ""
                said = told if isinstance(told, str) else told[0]
                if said:
                    found[message.context, key] = said
    return found


def pgettext(context: str | None, message: str) -> str:
    """The sentence in the current language; itself where it has no translation."""
    language = current()
    return message if language == "en" else sentences(language).get((context, message), message)


def gettext(message: str) -> str:
    """The sentence in the current language; itself where it has no translation."""
    return pgettext(None, message)


def npgettext(context: str | None, singular: str, plural: str, number: int) -> str:
    """The sentence for so many, in the current language. Chinese has one form for all."""
    found = sentences(current()).get((context, singular)) if current() != "en" else None
    return found or (singular if number == 1 else plural)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The sentence for so many, in the current language."""
    return npgettext(None, singular, plural, number)


def translatable(message: str) -> str:
    """Mark a sentence that is kept now and translated when it is shown, by `gettext`."""
    return message


# --- Requests ------------------------------------------------------------------------------------


def speak(app: ASGIApp) -> ASGIApp:
    """The middleware that finds a request's language, and keeps one that was chosen."""

    async def speaking_app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        language, chosen = of_request(scope)

        async def send_and_keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = with_missing(message["headers"], (_SAID[language],))
                if chosen:
                    cookie = _cookie(chosen, scope["scheme"] == "https")
                    headers.append((b"set-cookie", cookie.encode()))
                message["headers"] = headers
            await send(message)

        token = _current.set(language)
        try:
            await app(scope, receive, send_and_keep)
        finally:
            _current.reset(token)

    return speaking_app


def of_request(scope: HTTPScope) -> tuple[Language, Language | None]:
    """The language of a request, and the one that its address chooses, if it does."""
    chosen, kept, accepted = None, b"", b""
    if scope["query_string"]:
        request: Request[Any, Any, Any] = Request(scope)
        chosen = known(request.query_params.get(PARAMETER, ""))
    for name, value in scope["headers"]:
        if name == b"cookie":
            kept = value
        elif name == b"accept-language":
            accepted = value
    if chosen is not None:
        return chosen, chosen
    if _COOKIE_NAME in kept:
        cookies = Request[Any, Any, Any](scope).cookies
        if (language := known(cookies.get(COOKIE, ""))) is not None:
            return language, None
    return _asked(accepted[:_LONGEST_ASKED]), None


@lru_cache(1_024)
def _asked(accepted: bytes) -> Language:
    """The first of our languages that the browser accepts, in the order of its preference."""
    wanted = []
    for part in accepted.decode("latin-1").split(","):
        tag, _, weight = part.partition(";q=")
        try:
            wanted.append((-float(weight or 1), tag))
        except ValueError:
            continue
    return next((found for _, tag in sorted(wanted) if (found := known(tag))), "en")


def _cookie(language: Language, secure: bool) -> str:  # noqa: FBT001 - a cookie's own flag
    cookie = Cookie(
        key=COOKIE,
        value=language,
        path="/",
        max_age=_COOKIE_AGE_S,
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    return cookie.to_header(header="")
