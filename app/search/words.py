"""How texts become words that can be found, and how a query asks for them.

SQLite's `unicode61` takes a whole run of Chinese for one word, and its `trigram` misses words of
two characters. So Chinese, Japanese and Korean runs are cut into overlapping pieces of two, with
the last character alone at the end: a run of the characters A, B and C becomes `AB BC C`. Every
character then begins a piece, so that one character is found as the beginning of a piece, and
several as their pieces in a row. Other words are found by their beginnings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

MOST_WORDS: Final = 12
"""Words of a query that count; more is a pasted text, not a search."""

LONGEST_QUERY: Final = 200

_CJK: Final = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af\U00020000-\U0003ffff"
)
_RUNS: Final = re.compile(rf"(?P<cjk>[{_CJK}]+)|(?P<word>[^\W_{_CJK}]+)")


def indexed(text: str) -> str:
    """A text as the index keeps it: words and pieces, with spaces between them."""
    return " ".join(piece for run, is_cjk in _runs(text) for piece in _kept(run, is_cjk))


def asked(query: str) -> str:
    """What a query asks of the index (FTS5's language): every word of it; empty for none."""
    wanted = []
    for run, is_cjk in _runs(query[:LONGEST_QUERY]):
        if is_cjk and len(run) > 1:
            wanted.append('"' + " ".join(_pairs(run)) + '"')
        else:
            wanted.append(f'"{run}"*')
    return " AND ".join(wanted[:MOST_WORDS])


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    for found in _RUNS.finditer(unicodedata.normalize("NFKC", text).lower()):
        yield found[0], found.lastgroup == "cjk"


def _kept(run: str, is_cjk: bool) -> list[str]:  # noqa: FBT001 - what kind of run it is
    return [*_pairs(run), run[-1]] if is_cjk else [run]


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)]
