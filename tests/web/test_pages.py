"""The public pages, in every state of a campaign."""

from __future__ import annotations

import hashlib
import re

import pytest

from app.web.security import HEADERS
from app.web.static_files import FILES
from domain.terms import DAY_MS
from tests.api.running import NOW, ORIGIN, Caller, Running, new_id, pledge
from tests.web.browsing import Browser, words


async def pledged(running: Running, staff: Caller, cid: str, *amounts: int) -> list[str]:
    """Pledges with cards that work, one backer each; returns the backers."""
    backers = await running.backers(len(amounts))
    for backer, amount in zip(backers, amounts, strict=True):
        reference = running.platform.bank.prepare_method_direct(at=NOW)
        kept = await running.post(
            "/payment-methods", staff, {"backer_id": backer, "reference": reference}
        )
        method = kept.json()["payment_method"]
        body = pledge(backer_id=backer, amount=amount, payment_method=method)
        answer = await running.post(f"/campaigns/{cid}/pledges", staff, body)
        assert answer.status_code == 201, answer.text
    running.platform.follower.catch_up()
    return backers


async def shown(running: Running, cid: str) -> str:
    """The words of a campaign's page."""
    page = await Browser(running).get(f"/campaigns/{cid}")
    assert page.status_code == 200
    return words(page)


async def test_home_before_anything_happened(running: Running) -> None:
    """An empty channel says so, and does not look broken."""
    page = await Browser(running).get("/")
    assert page.status_code == 200
    assert "No campaign is live." in words(page)
    assert "set-cookie" not in page.headers


async def test_home_shows_live_and_ended_campaigns(running: Running, staff: Caller) -> None:
    """Live ones by their deadline, with how much is promised and what is left of the time."""
    cid = (await running.launched(staff))["campaign_id"]
    over = await running.launched(staff, title="Over soon", deadline_at=NOW + DAY_MS)
    await pledged(running, staff, cid, 5_640_000)
    await running.post("/campaigns", staff, {"title": "Never launched"})
    running.clock.now = NOW + 2 * DAY_MS
    running.work()
    page = await Browser(running).get("/")
    text = words(page)
    assert f'href="/campaigns/{cid}"' in page.text
    assert "70 % · ¥56,400\N{NO-BREAK SPACE}CNY · 28 days left".replace("\xa0", " ") in text
    assert "Over soon A creator without a name 0 % at the deadline · goal missed" in text
    assert page.text.index(cid) < page.text.index(over["campaign_id"])


async def test_a_live_campaign(running: Running, staff: Caller) -> None:
    """What it wants, what it has, when it charges, what it offers and needs."""
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, 100_000, 20_000)
    text = await shown(running, cid)
    for said in (
        "Film nights under the viaduct",
        "¥1,200 CNY pledged of ¥80,000",
        "1 % · 2 backers",
        "30 days left, until 11 April 2026, 12:00 UTC",
        "Nothing is charged today. Pledges are charged on 11 April 2026, only if the goal is met.",
        "¥1,200 is promised, and no money has moved yet.",
        "¥0 charged = ¥0 held + ¥0 paid to the creator + ¥0 fees + ¥0 returned.",
        "Sent to China: ¥12",
        "1 of 1 left",
        "Translation, hours 0 of 40 promised",
        "A proper screen. A quiet generator.",
    ):
        assert said in text, said


async def test_the_bar_speaks(running: Running, staff: Caller) -> None:
    """Who cannot see the bar hears the amount, the goal and the share."""
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, 5_640_000)
    page = await Browser(running).get(f"/campaigns/{cid}")
    bar = re.search(r'<svg class="bar"[^>]*role="progressbar"[^>]*>', page.text)
    assert bar is not None
    assert 'aria-valuetext="¥56,400 of ¥80,000 pledged, 70 %"' in bar[0]
    assert 'aria-valuenow="70"' in bar[0]


async def test_drawings_have_their_tables(running: Running, staff: Caller) -> None:
    """Every drawing that says something is named, and its numbers stand in a table."""
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, 100_000, 20_000)
    page = await Browser(running).get(f"/campaigns/{cid}")
    for drawing in re.findall(r"<svg[^>]*>", page.text):
        assert "aria-hidden" in drawing or "aria-label" in drawing, drawing
    assert page.text.count('<details class="numbers">') == page.text.count("<table>") == 2
    row = '<th scope="row">2026-03-12</th><td class="amount">¥1,200</td>'
    assert row in page.text


async def test_texts_are_escaped(running: Running, staff: Caller) -> None:
    """What a creator writes is text, never markup."""
    evil = "<script>alert(1)</script>"
    submitted = await running.launched(
        staff,
        title=evil,
        blurb=evil,
        story=evil,
        risks=evil,
        rewards=[{"title": evil, "description": evil, "price_minor": 100}],
        needs=[{"title": evil, "description": evil, "quantity": 1}],
    )
    cid = submitted["campaign_id"]
    await running.do(
        staff, cid, "updates", {"update_id": new_id(), "text": {"title": evil, "body": evil}}
    )
    running.platform.follower.catch_up()
    browser = Browser(running)
    for path in ("/", f"/campaigns/{cid}", f"/campaigns/{cid}/pledge"):
        page = await browser.get(path)
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text


async def test_a_text_that_was_taken_down(running: Running, staff: Caller) -> None:
    """The campaign stays, with its numbers, and says that the text is gone."""
    cid = (await running.launched(staff))["campaign_id"]
    text_hash = running.platform.engine.inspect(cid, lambda state: state.bound.text)
    await running.platform.stores.content.take_down(text_hash, at=NOW)
    text = await shown(running, cid)
    assert "A campaign without a title" in text
    assert "The text of this campaign was taken down. Its numbers stay." in text


async def test_a_suspended_campaign(running: Running, staff: Caller) -> None:
    """It says what is stopped and what is still allowed, and has no pledge button."""
    cid = (await running.launched(staff))["campaign_id"]
    await running.do(staff, cid, "suspend", {"cause": "report"})
    running.platform.follower.catch_up()
    text = await shown(running, cid)
    assert "Suspended while staff look into it. No pledges, charges or payouts meanwhile" in text
    assert "Pledge to this campaign" not in text
    form = await Browser(running).get(f"/campaigns/{cid}/pledge")
    assert form.status_code == 409
    assert "suspended" in words(form)


async def test_a_failed_campaign(running: Running, staff: Caller) -> None:
    """The deadline's total and today's stand side by side; nobody was charged."""
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, 100_000)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    text = await shown(running, cid)
    assert "¥1,000 CNY at the deadline, of ¥80,000" in text
    assert "Today: ¥0 pledged" in text
    assert "Goal missed. Nobody was charged." in text


async def test_a_succeeded_campaign(running: Running, staff: Caller) -> None:
    """The identity in words tells where every cent of the charged money is."""
    cid = (await running.launched(staff, goal_minor=100_000))["campaign_id"]
    await pledged(running, staff, cid, 100_000)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    text = await shown(running, cid)
    assert "Succeeded. Every pledge is settled; ¥930 is still held for this campaign." in text
    assert "¥1,000 charged = ¥930 held + ¥0 paid to the creator + ¥70 fees + ¥0 returned." in text
    page = await Browser(running).get(f"/campaigns/{cid}")
    assert '<svg class="delta"' in page.text


async def test_a_cancelled_campaign(running: Running, staff: Caller) -> None:
    """Nobody else is charged; what was charged went back."""
    cid = (await running.launched(staff, goal_minor=100_000))["campaign_id"]
    await pledged(running, staff, cid, 100_000)
    running.clock.now = NOW + 31 * DAY_MS
    running.work()
    await running.do(staff, cid, "cancel", {"cause": "cannot_deliver"})
    running.work()
    text = await shown(running, cid)
    assert "Called off. Nobody else is charged. ¥1,000 went back to backers." in text


async def test_what_was_not_launched_is_not_public(running: Running, staff: Caller) -> None:
    """A campaign in review has no page, and neither has one that does not exist."""
    waiting = (await running.post("/campaigns", staff, {**_bare(), "launch": False})).json()
    running.platform.follower.catch_up()
    browser = Browser(running)
    for cid in (waiting["campaign_id"], new_id(), "nonsense"):
        page = await browser.get(f"/campaigns/{cid}")
        assert page.status_code == 404
        assert "This stream leads nowhere" in words(page)


def _bare() -> dict[str, object]:
    return {
        "title": "In review",
        "model": "all_or_nothing",
        "currency": "EUR",
        "goal_minor": 1,
        "deadline_at": NOW + DAY_MS,
    }


async def test_every_answer_has_its_security_headers(running: Running, staff: Caller) -> None:
    """Pages, failures, files and the API refuse frames, sniffing, and everything foreign."""
    cid = (await running.launched(staff))["campaign_id"]
    for path in (
        "/",
        f"/campaigns/{cid}",
        "/me",
        "/nowhere",
        "/static/tributary.css",
        "/api/v1/campaigns",
        "/test-bank/disputes",
        "/health/live",
    ):
        answer = await running.client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    assert "script-src 'self';" in HEADERS["content-security-policy"]
    assert "frame-ancestors 'none'" in HEADERS["content-security-policy"]


async def test_pages_keep_to_their_own_policy(running: Running, staff: Caller) -> None:
    """No inline style or script, and nothing that is fetched from elsewhere, on any page."""
    cid = (await running.launched(staff))["campaign_id"]
    browser = Browser(running)
    confirmation = await browser.pledge(cid, amount="50", mail="backer@example.org")
    for path in (
        "/",
        f"/campaigns/{cid}",
        f"/campaigns/{cid}/pledge",
        "/me",
        "/problems",
        "/problems/sold-out",
        "/nowhere",
        str(confirmation.url.path),
    ):
        page = (await browser.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page), path
        for script in re.findall(r"<script[^>]*>.*?</script>", page, re.DOTALL):
            assert re.fullmatch(r'<script src="/static/[^"]+"[^>]*></script>', script), path
        own = page.replace(f'href="{ORIGIN}/', 'href="/')
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', own), path


async def test_files_are_served_by_their_names_alone(running: Running) -> None:
    """Every file of ours is there, cacheable and by the mark of its content; no other is."""
    for name, path in FILES.items():
        answer = await running.client.get(f"/static{name}")
        assert answer.content == path.read_bytes()
        assert "max-age" in answer.headers["cache-control"]
    css = hashlib.sha256(FILES["/tributary.css"].read_bytes()).hexdigest()[:10]
    assert f"/static/tributary.css?v={css}" in (await running.client.get("/")).text
    for name in ("/../site.py", "/%2e%2e/site.py", "/vendor", "/nothing.css"):
        assert (await running.client.get(f"/static{name}")).status_code == 404
    assert (await running.client.get("/favicon.ico")).status_code == 301


async def test_a_broken_page_helps(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours says what to do, and nothing of what it was."""

    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    cid = (await running.launched(staff))["campaign_id"]
    monkeypatch.setattr("app.web.public.campaigns.whole_page", breaks)
    page = await running.client.get(f"/campaigns/{cid}")
    assert page.status_code == 500
    assert "Something broke on our side" in page.text
    assert "a secret" not in page.text
