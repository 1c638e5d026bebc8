"""Countries by name, in the page's language, for what is sent somewhere."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

from babel import Locale
from msgspec import Struct

from app.web import language
from app.web.language import gettext
from domain.terms import ELSEWHERE

_NO_COUNTRIES: Final = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})
"""Two letters in the list of territories that name no place a parcel can go to."""

_CODE_LENGTH: Final = 2


class Place(Struct, frozen=True):
    """A destination: its code in events (`CN`, `US-CA`) and its name."""

    code: str
    name: str


def alphabetical(name: str) -> tuple[str, bytes]:
    """The order of names in a list: Latin letters whatever their accents and case, then Chinese
    ones by their sound (which is how GBK orders those in common use).
    """
    bare = unicodedata.normalize("NFKD", name)
    latin = "".join(c for c in bare if not unicodedata.combining(c)).casefold()
    first = latin[:1]
    return ("" if first.isascii() else "\uffff", latin.encode("gb18030", "replace"))


def place_name(code: str) -> str:
    """The name of a destination in the page's language; everywhere else for `*`."""
    if code == ELSEWHERE:
        return gettext("Everywhere else")
    country, _, part = code.partition("-")
    name = _names(language.locale()).get(country, country)
    return f"{name} ({part})" if part else name


def countries() -> tuple[Place, ...]:
    """Every country, in the order of its name."""
    return _countries(language.locale())


def is_country(code: str) -> bool:
    """Whether there is such a country."""
    return code in _names(language.locale())


@cache
def _names(locale: Locale) -> dict[str, str]:
    return {
        code: str(name)
        for code, name in locale.territories.items()
        if len(code) == _CODE_LENGTH and code.isalpha() and code not in _NO_COUNTRIES
    }


@cache
def _countries(locale: Locale) -> tuple[Place, ...]:
    places = [Place(code, name) for code, name in _names(locale).items()]
    return tuple(sorted(places, key=lambda place: alphabetical(place.name)))
