"""What a creator changed in a campaign's texts after the launch, word by word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from app.web.aligning import steps
from app.web.language import translatable
from app.web.public.campaign_view import in_language
from app.web.site import PageRequest, Site
from projections.campaign_pages import StoryLine

PARTS: Final = {
    "title": translatable("Title"),
    "blurb": translatable("In one sentence"),
    "story": translatable("Story"),
    "risks": translatable("Risks"),
}
"""The texts that are compared, in the order of the page."""

MOST_KEPT: Final = 64
"""Comparisons that are remembered: a past change never changes, and anybody may look at it."""

_WORDS: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|\w+|\s+|[^\w\s]").findall
"""Words, and single characters where words are written without spaces between them."""

_PARAGRAPHS: Final = re.compile(r"[^\n]+|\n+").findall
_LONG_SAME: Final = 400
_KEPT_AROUND: Final = 140

Kind = Literal["same", "gone", "new", "skipped"]


class Stretch(Struct, frozen=True):
    """A stretch of a comparison; `skipped` stands for a long one that is the same."""

    kind: Kind
    text: str


class PartChange(Struct, frozen=True):
    """A part of the texts (one of PARTS) that changed."""

    name: str
    stretches: tuple[Stretch, ...]


class Change(Struct, frozen=True):
    """A change; without parts only what has no words was changed. `removed`: a text of the two was
    taken down since.
    """

    at: int
    position: int
    parts: tuple[PartChange, ...]
    removed: bool


@lru_cache(maxsize=MOST_KEPT)
def compare(before: str, after: str) -> tuple[Stretch, ...]:
    """The stretches that lead from one text to the other: word by word, where that takes too long
    by paragraphs, and where that does too as one that went and one that came. Slow: off the loop.
    """
    mine, theirs = _WORDS(before), _WORDS(after)
    path = steps(mine, theirs)
    if path is None:
        mine, theirs = _PARAGRAPHS(before), _PARAGRAPHS(after)
        path = steps(mine, theirs)
    if path is None:
        path = [("replace", 0, len(mine), 0, len(theirs))]
    found: list[Stretch] = []
    for tag, a, b, c, d in path:
        if tag == "equal":
            found.extend(_shortened("".join(mine[a:b])))
            continue
        if b > a:
            found.append(Stretch("gone", "".join(mine[a:b])))
        if d > c:
            found.append(Stretch("new", "".join(theirs[c:d])))
    return tuple(found)


def _shortened(text: str) -> Iterator[Stretch]:
    if len(text) <= _LONG_SAME:
        yield Stretch("same", text)
        return
    yield Stretch("same", text[:_KEPT_AROUND])
    yield Stretch("skipped", "")
    yield Stretch("same", text[-_KEPT_AROUND:])


def changes_of(
    lines: tuple[StoryLine, ...], texts: Mapping[str, Mapping[str, object]]
) -> list[Change]:
    """Every change, the newest first."""
    found = []
    for line in reversed(lines):
        before, after = texts.get(line.before), texts.get(line.after)
        if before is None or after is None:
            found.append(Change(line.at, line.position, (), removed=True))
            continue
        parts = tuple(
            PartChange(name, compare(was, now))
            for name in PARTS
            if (was := in_language(before, name)) != (now := in_language(after, name))
        )
        found.append(Change(line.at, line.position, parts, removed=False))
    return found


@get("/campaigns/{campaign_id:str}/changes", include_in_schema=False)
async def show_changes(
    campaign_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """What was changed in the texts after the launch."""
    visitor = await site.visitor(request)
    page = await site.campaign(campaign_id)
    hashes = {page.text, *(h for line in page.story_changes for h in (line.before, line.after))}
    texts = await site.platform.stores.content.get_many(hashes - {""})
    return site.page(
        "public/changes.html",
        visitor if visitor.party else None,
        page=page,
        title=in_language(texts.get(page.text, {}), "title"),
        changes=await asyncio.to_thread(changes_of, page.story_changes, texts),
        parts=PARTS,
        section="discover",
    )
