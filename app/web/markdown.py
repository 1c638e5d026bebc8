"""Texts that people wrote, in Markdown, as HTML that is safe to show.

CommonMark with tables and strikethrough; HTML in it is shown as text. Whatever the parser makes is
passed through a second gate (nh3), so that a fault in either lets nothing through. Pictures come
from our own `/pictures/` alone, and links say that we do not vouch for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

LONGEST: Final = 200_000
"""Characters of a text that are shown; far more than any story holds."""

MOST_CACHED: Final = 512
TOP_HEADING: Final = 3
"""A text stands under an h2 of the page: its own highest heading is an h3."""

_PICTURE: Final = re.compile(r"/pictures/[0-9a-f]{64}(\?w=(480|960|1600))?", re.ASCII).fullmatch
_WIDTHS: Final = (480, 960, 1600)
_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_CLEANER: Final = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote"),
        *("ul", "ol", "li", "h3", "h4", "h5", "h6", "a", "img"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    },
    attributes={
        "a": {"href", "title"},
        "img": {"src", "srcset", "sizes", "alt", "title", "loading", "decoding"},
        "ol": {"start"},
        "th": {"scope"},
    },
    url_schemes={"http", "https", "mailto"},
    link_rel="nofollow ugc noopener",
)


@lru_cache(maxsize=MOST_CACHED)
def html(text: str) -> Markup:
    """The text as HTML to put under an h2 of a page. Kept for a text that is shown again."""
    tokens = _PARSER.parse(text[:LONGEST])
    highest = min((int(t.tag[1]) for t in tokens if t.type == "heading_open"), default=1)
    for token in _all(tokens):
        _fit(token, highest)
    made = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return Markup(_CLEANER.clean(made))  # noqa: S704 - cleaned in this very line


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _fit(token: Token, highest: int) -> None:
    """Make a token fit the page: its highest headings below the page's own, pictures of ours."""
    if token.type in {"heading_open", "heading_close"}:
        level = min(6, int(token.tag[1]) - highest + TOP_HEADING)
        token.tag = f"h{level}"
    elif token.type == "image":
        _fit_picture(token)


def _fit_picture(token: Token) -> None:
    source = str(token.attrs.get("src", ""))
    if not _PICTURE(source):
        # Its words stay; a picture from elsewhere would tell that site who reads here.
        token.type, token.tag, token.attrs = "text", "", {}
        token.children = None
        return
    address = source.partition("?")[0]
    token.attrs["src"] = f"{address}?w=960"
    token.attrs["srcset"] = ", ".join(f"{address}?w={width} {width}w" for width in _WIDTHS)
    token.attrs["sizes"] = "(max-width: 740px) 100vw, 700px"
    token.attrs["loading"] = "lazy"
    token.attrs["decoding"] = "async"
