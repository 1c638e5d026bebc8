"""The campaign's page and the pages that hang on it."""

from __future__ import annotations

import asyncio
import io
import json
import re

import pytest
from PIL import Image

from app.web.public.changing import compare
from app.web.public.live import watches_of
from app.web.public.page_cache import cache_of
from app.web.visitors import Visitors
from domain.terms import DAY_MS
from projections.campaign_pages import get_page
from tests.api.running import NOW, ORIGIN, Caller, Running, new_id
from tests.web.browsing import Browser, words
from tests.web.public.looking import backs, come_in, launched_by, person, retell

PICTURE = "ab" * 32


async def test_the_story_is_markdown(running: Running, staff: Caller) -> None:
    """Headings, emphasis and our own pictures are shown; the heading stands under the page's."""
    story = f"# The wall\n\nIt is **white**.\n\n![The wall](/pictures/{PICTURE})"
    cid = (await running.launched(staff, story=story))["campaign_id"]
    page = await Browser(running).get(f"/campaigns/{cid}")
    assert "<h3>The wall</h3>" in page.text
    assert "<strong>white</strong>" in page.text
    assert f'src="/pictures/{PICTURE}?w=960"' in page.text


async def test_links_have_previews(running: Running, staff: Caller) -> None:
    """What a link shows elsewhere is named by whole addresses."""
    cid = (await running.launched(staff))["campaign_id"]
    page = (await Browser(running).get(f"/campaigns/{cid}")).text
    for name, value in (
        ("og:title", "Film nights under the viaduct"),
        ("og:url", f"{ORIGIN}/campaigns/{cid}"),
        ("og:image", f"{ORIGIN}/campaigns/{cid}/card.png"),
    ):
        assert f'<meta property="{name}" content="{value}">' in page
    assert f'data-copy="{ORIGIN}/campaigns/{cid}"' in page


@pytest.mark.parametrize("title", ["Film nights", "高架桥下的电影夜", "Ω ß 映画 ☃", "x" * 200])
async def test_the_card_is_a_picture(running: Running, staff: Caller, title: str) -> None:
    """1200 by 630 in any writing, and not drawn or sent again while nothing changed."""
    cid = (await running.launched(staff, title=title))["campaign_id"]
    answer = await running.client.get(f"/campaigns/{cid}/card.png")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (1200, 630)
    again = await running.client.get(
        f"/campaigns/{cid}/card.png", headers={"if-none-match": answer.headers["etag"]}
    )
    assert again.status_code == 304


async def test_the_qr_code_is_a_drawing(running: Running, staff: Caller) -> None:
    """An SVG of its own, without styles that our policy forbids."""
    cid = (await running.launched(staff))["campaign_id"]
    answer = await running.client.get(f"/campaigns/{cid}/qr.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "<svg" in answer.text
    assert "style=" not in answer.text


async def test_a_page_is_kept_until_something_changes(running: Running, staff: Caller) -> None:
    """Rendered once; the browser's own copy is confirmed; a pledge makes it anew."""
    cid = (await running.launched(staff))["campaign_id"]
    path = f"/campaigns/{cid}"
    first = await running.client.get(path)
    cache = cache_of(running.platform)
    kept = next(iter(cache._pages.values()))
    assert (await running.client.get(path)).content == first.content
    assert next(iter(cache._pages.values())) is kept
    same = await running.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    (backer,) = await running.backers(1)
    await backs(running, staff, cid, backer, 100_000)
    later = await running.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert later.status_code == 200
    assert "¥1,000" in later.text


async def test_a_kept_page_is_in_the_reader_s_language(running: Running, staff: Caller) -> None:
    """Who asks for Chinese never gets the English page, nor the other way round."""
    cid = (await running.launched(staff))["campaign_id"]
    path = f"/campaigns/{cid}"
    english = await running.client.get(path)
    chinese = await running.client.get(path, headers={"accept-language": "zh-CN"})
    assert 'lang="en"' in english.text
    assert 'lang="zh-Hans"' in chinese.text
    assert "支持这个项目" in chinese.text
    assert "支持这个项目" not in (await running.client.get(path)).text


async def test_a_kept_page_holds_nothing_of_a_person(running: Running, staff: Caller) -> None:
    """A backer's own page is made for them alone and stored by nobody."""
    cid = (await running.launched(staff))["campaign_id"]
    party = await person(running, "backer@example.org")
    await backs(running, staff, cid, party)
    browser = await come_in(running, party)
    own = await browser.get(f"/campaigns/{cid}")
    assert own.headers["cache-control"] == "no-store"
    assert "You back this campaign" in words(own)
    assert 'class="own"' in own.text
    anybody = await Browser(running).get(f"/campaigns/{cid}")
    assert "You back this campaign" not in words(anybody)
    assert 'class="own"' not in anybody.text
    assert "set-cookie" not in anybody.headers


async def test_numbers_move_while_one_looks(running: Running, staff: Caller) -> None:
    """A stream brings the numbers at once, and again after a pledge."""
    cid = (await running.launched(staff))["campaign_id"]
    platform = running.platform
    async with platform.views.connect() as connection:
        page = await get_page(connection, cid)
    assert page is not None
    watches = watches_of(platform)
    stream = watches.numbers(page)
    assert (await anext(stream)).startswith(b"retry:")
    assert _numbers(await anext(stream))["texts"]["pledged_plain"] == "¥0"
    (backer,) = await running.backers(1)
    await backs(running, staff, cid, backer, 4_000_000)
    moved = _numbers(await asyncio.wait_for(anext(stream), 10))
    assert moved["texts"]["pledged_plain"] == "¥40,000"
    assert moved["bar"]["promised"] == 50
    assert watches.streams == 1
    platform.stopping = True
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(stream), 5)
    assert watches.streams == 0
    refused = await running.client.get(f"/campaigns/{cid}/live")
    assert refused.status_code == 503


def _numbers(event: bytes) -> dict[str, dict[str, object]]:
    data = event.decode().partition("data: ")[2]
    found: dict[str, dict[str, object]] = json.loads(data)
    return found


async def test_streams_are_bounded(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many streams the page just stays still."""
    cid = (await running.launched(staff))["campaign_id"]
    monkeypatch.setattr("app.web.public.live.MOST_STREAMS", 0)
    assert (await running.client.get(f"/campaigns/{cid}/live")).status_code == 503


async def test_every_number_is_explained(running: Running, staff: Caller) -> None:
    """A number's page lists the events that made it, and they add up to it."""
    cid = (await running.launched(staff, goal_minor=100_000))["campaign_id"]
    first, second = await running.backers(2)
    await backs(running, staff, cid, first, 100_000)
    await backs(running, staff, cid, second, 20_000)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    browser = Browser(running)
    page = await browser.get(f"/campaigns/{cid}")
    for number in ("pledged", "charged", "held", "paid", "returned", "fees"):
        assert f"/campaigns/{cid}/explain/{number}" in page.text
    pledged = words(await browser.get(f"/campaigns/{cid}/explain/pledged"))
    assert "made by 2 events of the log" in pledged
    assert "A pledge was made (pledge no. 2) ¥200 ¥1,200" in pledged
    held = words(await browser.get(f"/campaigns/{cid}/explain/held"))
    assert "The fees were taken" in held or "A pledge was charged" in held
    for path in ("explain/nonsense", "explain/pledged?leaf=2", "explain/on_the_way"):
        assert (await browser.get(f"/campaigns/{cid}/{path}")).status_code == 404


async def test_changes_of_the_story_are_public(running: Running, staff: Caller) -> None:
    """Each change stands word by word, told by text and not by colour alone."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    cid = await launched_by(running, staff, creator)
    browser = Browser(running)
    assert "as it was at the launch" in words(await browser.get(f"/campaigns/{cid}/changes"))
    await retell(running, cid, creator, story="A proper screen.\n\nA loud generator.")
    page = await browser.get(f"/campaigns/{cid}/changes")
    deleted = re.findall(r"<del>(.*?)</del>", page.text)
    inserted = re.findall(r"<ins>(.*?)</ins>", page.text)
    assert "Taken out: </span>quiet" in deleted[-1]
    assert "Put in: </span>loud" in inserted[-1]
    assert f"/campaigns/{cid}/changes" in (await browser.get(f"/campaigns/{cid}")).text


def test_a_comparison_loses_nothing() -> None:
    """What is the same and gone is the text before; what is the same and new, the one after."""
    before, after = "One two three. 高架桥下的电影", "One three four. 高架桥上的电影!"
    stretches = compare(before, after)
    assert "".join(s.text for s in stretches if s.kind in {"same", "gone"}) == before
    assert "".join(s.text for s in stretches if s.kind in {"same", "new"}) == after
    assert ("gone", "下") in [(s.kind, s.text) for s in stretches]


def test_a_comparison_takes_no_time_to_speak_of() -> None:
    """A story that says one word over and over would keep the page busy for minutes."""
    before, after = "a " * 3_000, "a b " * 1_500
    assert [(s.kind, s.text) for s in compare(before, after)] == [("gone", before), ("new", after)]


async def test_a_draft_is_shown_to_who_has_its_link(running: Running) -> None:
    """With our mark the draft's page, marked as a draft and without anything to press."""
    platform = running.platform
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    draft = await platform.stores.drafts.create(
        channel=running.channel,
        creator=creator,
        body={
            "title": "A bench by the river",
            "story": "It is **green**.",
            "currency": "CNY",
            "goal": "1200",
            "rewards": [{"id": new_id(), "title": "A plank", "price": "20"}],
        },
        at=NOW,
    )
    mark = _mark_of(running, draft.id)
    page = await Browser(running).get(f"/preview/{draft.id}/{mark}")
    assert page.status_code == 200
    told = words(page)
    for said in ("Draft", "A bench by the river", "green", "A plank", "of ¥1,200", "Sample team"):
        assert said in told, said
    assert "noindex" in page.headers["x-robots-tag"]
    assert "/pledge" not in page.text
    for wrong in (f"/preview/{draft.id}/{'0' * 32}", f"/preview/{new_id()}/{mark}"):
        assert (await Browser(running).get(wrong)).status_code == 404


async def test_a_draft_that_is_empty_is_shown_too(running: Running) -> None:
    """Nothing that is still missing breaks the preview."""
    platform = running.platform
    creator = await person(running, "creator@example.org", "", "creator")
    draft = await platform.stores.drafts.create(
        channel=running.channel, creator=creator, body={}, at=NOW
    )
    browser = await come_in(running, creator)
    page = await browser.get(f"/preview/{draft.id}/{_mark_of(running, draft.id)}")
    assert page.status_code == 200
    assert "A campaign without a title" in words(page)


def _mark_of(running: Running, draft_id: str) -> str:
    stores = running.platform.stores
    visitors = Visitors(
        stores.sessions,
        stores.accounts,
        secret=running.platform.settings.secret,
        secure=False,
        clock=running.platform.clock,
    )
    return visitors.sign("preview", draft_id)


async def test_the_creator_s_record_is_told(running: Running, staff: Caller) -> None:
    """Other campaigns of the same creator, by how they ended."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    await launched_by(running, staff, creator, title="The first", deadline_at=NOW + DAY_MS)
    running.clock.now = NOW + 2 * DAY_MS
    running.work()
    cid = await launched_by(running, staff, creator, title="The second")
    told = words(await Browser(running).get(f"/campaigns/{cid}"))
    assert "1 other campaign · 1 missed the goal" in told
    assert "The first" in told


async def test_milestones_and_terms_are_shown(running: Running, staff: Caller) -> None:
    """Shares of the money, and what of them is paid."""
    cid = (
        await running.launched(
            staff,
            milestones=[
                {"title": "The screen stands", "share_bps": 6_000},
                {"title": "Twelve evenings", "share_bps": 4_000},
            ],
        )
    )["campaign_id"]
    told = words(await Browser(running).get(f"/campaigns/{cid}"))
    assert "60 % The screen stands Not paid yet" in told


async def test_the_last_hours_are_counted(running: Running, staff: Caller) -> None:
    """Within the last two days the page names the moment for the script, and the time in words."""
    cid = (await running.launched(staff, deadline_at=NOW + 90 * 60_000))["campaign_id"]
    page = await Browser(running).get(f"/campaigns/{cid}")
    assert f'data-until="{NOW + 90 * 60_000}"' in page.text
    assert "90 minutes left" in words(page)


async def test_every_page_of_it_answers_in_both_languages(running: Running, staff: Caller) -> None:
    """No page of this area breaks in Chinese, and none shows English sentences of ours there."""
    creator = await person(running, "creator@example.org", "示例团队", "creator")
    cid = await launched_by(running, staff, creator)
    await retell(running, cid, creator, story="另一个故事")
    running.clock.now = NOW + 3 * DAY_MS
    browser = Browser(running)
    for path in ("", "/questions", "/report", "/changes", "/explain/pledged", "?at=2026-03-13"):
        page = await browser.client.get(
            f"/campaigns/{cid}{path}", headers={"accept-language": "zh-CN"}
        )
        assert page.status_code == 200, path
        for english in ("Pledged", "Record", "Questions", "Held for", "Back to"):
            assert english not in words(page), (path, english)
