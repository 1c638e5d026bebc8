"""Finding campaigns in the index, and the index with what it follows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.search import Entry, SearchIndex, Wanted
from app.search.index import Words
from domain.terms import DAY_MS
from tests.api.running import NOW, Caller, Running, clock, running, staff

__all__ = ["clock", "running", "staff"]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SearchIndex]:
    """An empty index."""
    made = SearchIndex(tmp_path / "search.db", "log")
    yield made
    made.close()


def entry(key: int, **changes: Any) -> Entry:  # noqa: ANN401 - any of its fields
    """A live campaign."""
    fields: dict[str, Any] = {
        "key": key,
        "campaign_id": f"c{key}",
        "channel": "one",
        "creator": "creator",
        "state": "live",
        "suspended": False,
        "launched_at": key,
        "deadline_at": 100 - key,
        "funded_bps": 1_000 * key,
        "backers": key,
        "text": f"hash{key}",
    }
    return Entry(**fields | changes)


def put(index: SearchIndex, *entries: Entry, **texts: dict[str, str]) -> None:
    """Keep campaigns with their texts, by their ids."""
    index.keep(list(entries), 1)
    index.keep_words(
        (each.key, "Viaduct team", Words(**texts.get(each.campaign_id, {}))) for each in entries
    )


def ids(index: SearchIndex, **wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - any of its fields
    """Which campaigns are found, in their order."""
    return index.find(Wanted(**wanted)).ids


def test_words_of_title_blurb_story_and_creator(index: SearchIndex) -> None:
    """Each of the four is searched, words by their beginnings, whatever case and accents."""
    put(
        index,
        entry(1),
        entry(2),
        entry(3),
        c1={"title": "Film nights"},
        c2={"blurb": "A café for films"},
        c3={"story": "nothing of it"},
    )
    assert set(ids(index, query="FILM")) == {"c1", "c2"}
    assert ids(index, query="cafe") == ("c2",)
    assert ids(index, query="noth") == ("c3",)
    assert len(ids(index, query="viaduct")) == 3
    assert ids(index, query="film noth") == ()


def test_chinese_by_one_two_and_more_characters(index: SearchIndex) -> None:
    """Also the last character of a text, and no pair that only stands apart."""
    put(index, entry(1), entry(2), c1={"title": "港口图书馆"}, c2={"title": "图画与书"})
    assert set(ids(index, query="图")) == {"c1", "c2"}
    assert ids(index, query="馆") == ("c1",)
    assert ids(index, query="图书") == ("c1",)
    assert ids(index, query="图书馆") == ("c1",)
    assert ids(index, query="书馆图") == ()


def test_the_title_counts_most(index: SearchIndex) -> None:
    """The best match says the word in its title."""
    put(
        index,
        entry(1),
        entry(2),
        c1={"title": "A river boat", "story": "short"},
        c2={"title": "A bench", "story": "by the river " * 3},
    )
    assert ids(index, query="river", order="best") == ("c1", "c2")


def test_filters(index: SearchIndex) -> None:
    """State, category, channel, language and creator each narrow, and together all of them."""
    put(
        index,
        entry(1),
        entry(2, state="well", channel="two"),
        entry(3, state="otherwise", creator="other"),
        c1={"category": "film", "language": "en"},
        c2={"category": "film", "language": "zh-Hans"},
    )
    assert ids(index, state="live") == ("c1",)
    assert set(ids(index, category="film")) == {"c1", "c2"}
    assert ids(index, channel="two") == ("c2",)
    assert ids(index, language="zh-Hans") == ("c2",)
    assert ids(index, creator="other") == ("c3",)
    assert ids(index, category="film", state="otherwise") == ()


def test_orders(index: SearchIndex) -> None:
    """Each order has its own first; ending soon and nearly funded only know live campaigns."""
    put(
        index,
        entry(1, funded_bps=9_900),
        entry(2, funded_bps=20_000),
        entry(3, suspended=True),
        entry(4, state="well", backers=50),
    )
    assert ids(index, order="ending") == ("c2", "c1")
    assert ids(index, order="nearly") == ("c1",)
    assert ids(index, order="newest") == ("c4", "c3", "c2", "c1")
    assert ids(index, order="backed")[0] == "c4"
    assert ids(index, order="featured")[0] == "c2"
    index.keep_features({"c1": 5})
    assert ids(index, order="featured")[0] == "c1"
    assert ids(index, featured=True) == ("c1",)
    index.keep_features({})
    assert ids(index, featured=True) == ()


def test_pages_and_totals(index: SearchIndex) -> None:
    """A page holds so many, the total counts all, beyond the end is nothing."""
    put(index, *(entry(key) for key in range(1, 11)))
    first = index.find(Wanted(order="newest", limit=4))
    last = index.find(Wanted(order="newest", limit=4, offset=8))
    assert (first.ids, first.total) == (("c10", "c9", "c8", "c7"), 10)
    assert last.ids == ("c2", "c1")
    assert index.find(Wanted(limit=4, offset=400)).ids == ()


def test_only_changed_texts_are_read_again(index: SearchIndex) -> None:
    """A pledge moves the figures and leaves the words alone."""
    assert index.keep([entry(1)], 1) == [entry(1)]
    assert index.keep([entry(1, backers=9)], 2) == []
    assert index.keep([entry(1, text="new")], 3) == [entry(1, text="new")]
    assert index.position() == 3


def test_a_file_of_another_version_or_log_is_made_anew(tmp_path: Path) -> None:
    """The index is disposable: what is not ours, or broken, is thrown away."""
    path = tmp_path / "search.db"
    first = SearchIndex(path, "log")
    put(first, entry(1))
    first.close()
    again = SearchIndex(path, "log")
    assert again.count() == 1
    again.close()
    other = SearchIndex(path, "another log")
    assert (other.count(), other.position()) == (0, 0)
    other.close()
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    mended = SearchIndex(path, "log")
    assert mended.count() == 0
    mended.close()


async def test_the_index_follows_campaigns(running: Running, staff: Caller) -> None:
    """Only what was launched is found, in the state where it stands."""
    cid = (await running.launched(staff))["campaign_id"]
    await running.post("/campaigns", staff, {"title": "Never launched"})
    running.platform.follower.catch_up()
    search = running.platform.search
    search.ready()
    assert search.index.find(Wanted(query="viaduct")).ids == (cid,)
    assert search.index.find(Wanted(query="launched")).ids == ()
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    search.ready()
    assert search.index.find(Wanted(state="otherwise")).ids == (cid,)


async def test_views_that_come_to_rest_are_followed_at_once(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the pause between two looks may be."""
    for pause in ("PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(f"app.search.following.{pause}", 600.0)
    monkeypatch.setattr("app.search.following.QUIET_S", 0.01)
    search, stop = running.platform.search, threading.Event()
    search.ready()
    thread = threading.Thread(target=search.run, args=(stop,))
    thread.start()
    try:
        await running.launched(staff)
        running.platform.follower.catch_up()
        until = time.monotonic() + 30
        while search.index.position() < running.platform.follower.position:
            assert time.monotonic() < until, "the index does not follow"
            await asyncio.sleep(0.01)
    finally:
        stop.set()
        thread.join()


async def test_what_is_taken_down_or_renamed_is_not_found(running: Running, staff: Caller) -> None:
    """A text without its bytes has no words; a name follows its person."""
    cid = (await running.launched(staff))["campaign_id"]
    search = running.platform.search
    search.ready()
    (key, (creator, _, text)) = next(iter(search.index.names().items()))
    await running.platform.stores.people.forget(creator, at=NOW)
    search.look_over()
    assert search.index.names()[key][1] == ""
    assert search.index.find(Wanted(query="viaduct")).ids == (cid,)
    await running.platform.stores.content.take_down(text, at=NOW)
    search.look_over()
    assert search.index.find(Wanted(query="viaduct")).ids == ()
    assert search.index.find(Wanted()).ids == (cid,)


async def test_picks_of_staff_come_first(running: Running, staff: Caller) -> None:
    """Featuring and taking it back are seen with the next look."""
    first = (await running.launched(staff))["campaign_id"]
    await running.launched(staff)
    features = running.platform.stores.features
    await features.feature(first, running.channel, by="staff:x", at=NOW)
    search = running.platform.search
    search.ready()
    assert search.index.find(Wanted()).ids[0] == first
    assert [pick.campaign_id for pick in await features.of(running.channel)] == [first]
    assert await features.unfeature(first)
    search.ready()
    assert search.index.find(Wanted(featured=True)).ids == ()


def test_readers_have_connections_of_their_own(index: SearchIndex) -> None:
    """Threads search at once while the index is written."""
    put(index, *(entry(key) for key in range(1, 50)))
    found: list[int] = []

    def look() -> None:
        found.extend(index.find(Wanted()).total for _ in range(20))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for key in range(50, 60):
        put(index, entry(key))
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(49 <= total <= 59 for total in found)
