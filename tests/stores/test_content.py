from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.stores.content import (
    CONTENT,
    Content,
    Picture,
    UnknownContentError,
    UnsupportedPictureError,
    canonical,
)
from app.stores.rows import one_row

STORY = {"title": "A book on rivers", "story": "It rains. 下雨了。", "risks": ["paper", 1]}


async def test_documents_come_back_by_hash(engine: AsyncEngine) -> None:
    """Each hash gives its own document; unknown hashes are left out."""
    content = Content(engine)
    one = await content.put(STORY, at=1)
    two = await content.put({"title": "Two"}, at=2)
    assert await content.get_many([one, two, one, "0" * 64]) == {one: STORY, two: {"title": "Two"}}


async def test_the_hash_is_salted_hmac_sha256(engine: AsyncEngine) -> None:
    """Anyone who holds salt and text can check the hash; the same text never has it again."""
    content = Content(engine)
    first, second = await content.put(STORY, at=1), await content.put(STORY, at=1)
    row = await one_row(engine, select(CONTENT).where(CONTENT.c.hash == first))
    assert row is not None
    assert len(row["salt"]) == 32
    assert first == hmac.new(row["salt"], canonical(STORY), hashlib.sha256).hexdigest()
    assert first != second


def test_one_document_has_one_form() -> None:
    """The order in which a document's keys were written does not show."""
    assert canonical({"b": 1, "a": {"d": "é", "c": 2}}) == '{"a":{"c":2,"d":"é"},"b":1}'.encode()


async def test_a_takedown_leaves_only_the_fact(
    engine: AsyncEngine, on_disk: Callable[[], bytes]
) -> None:
    """Text and salt are gone, from the disk too; the row says when, once and for all."""
    content = Content(engine)
    taken = await content.put({"story": "Zebedee Quill lives here"}, at=1)
    kept = await content.put(STORY, at=1)
    assert b"Zebedee" in on_disk()
    gone = await content.take_down(taken, at=5)
    assert gone is (engine.dialect.name == "sqlite")
    assert await content.take_down(taken, at=9) is gone
    assert await content.get_many([taken, kept]) == {kept: STORY}
    row = await one_row(engine, select(CONTENT).where(CONTENT.c.hash == taken))
    assert row is not None
    assert (row["body"], row["salt"], row["taken_down_at"]) == (None, None, 5)
    assert b"Zebedee" not in on_disk()
    with pytest.raises(UnknownContentError):
        await content.take_down("0" * 64, at=5)


async def test_the_condition_of_a_content_is_told(engine: AsyncEngine) -> None:
    """Intact, altered behind our back, taken down and unknown are told apart."""
    content = Content(engine)
    intact, altered, taken = [await content.put(STORY, at=1) for _ in range(3)]
    async with engine.begin() as connection:
        await connection.execute(
            update(CONTENT).where(CONTENT.c.hash == altered).values(body=canonical({"title": "Z"}))
        )
    await content.take_down(taken, at=2)
    conditions = [await content.verify(h) for h in (intact, altered, taken, "0" * 64)]
    assert conditions == ["intact", "altered", "taken_down", "unknown"]


async def test_pictures_are_kept_apart_from_documents(engine: AsyncEngine) -> None:
    """A picture is given as it was put, and neither is ever taken for the other."""
    content = Content(engine)
    picture = await content.put_bytes("image/png", b"\x89PNG", at=1)
    document = await content.put(STORY, at=1)
    assert await content.picture(picture) == Picture("image/png", b"\x89PNG")
    assert await content.picture(document) is None
    assert await content.get_many([picture]) == {}
    assert await content.verify(picture) == "intact"
    await content.take_down(picture, at=2)
    assert await content.picture(picture) is None


@pytest.mark.parametrize("media_type", ["image/svg+xml", "text/html", "application/json", ""])
async def test_what_could_run_is_no_picture(engine: AsyncEngine, media_type: str) -> None:
    """A type that a browser may execute is refused."""
    with pytest.raises(UnsupportedPictureError):
        await Content(engine).put_bytes(media_type, b"<svg/>", at=1)
