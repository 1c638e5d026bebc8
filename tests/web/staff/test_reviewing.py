"""The review: what is shown of a submission, approve, return, and never one's own."""

from __future__ import annotations

from app.log import decode_row
from app.web.staff.comparing import TERMS_TOLD, Piece, diff, facts
from domain.events import CampaignApproved, CampaignReturned
from domain.terms import Submission, Terms
from tests.api.running import NOW, Caller, Running, campaign, new_id
from tests.web.browsing import words
from tests.web.staff.working import submitted, worker


def last(running: Running) -> object:
    """The newest fact of the log."""
    position, _ = running.platform.log.last()
    return decode_row(running.platform.log.read(position - 1, 1)[0])


async def test_everything_that_was_handed_in_is_shown(running: Running, staff: Caller) -> None:
    """Texts, rewards with shipping, needs, terms, deadline: nothing has to be looked up."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    said = await desk.read(f"/staff/reviews/{cid}")
    for part in (
        "Film nights under the viaduct",
        "Twelve evenings, one white wall.",
        "A quiet generator.",
        "¥120 · to CN: ¥12",
        "¥360 · at most 1",
        "Translation, hours",
        "¥80,000 CNY",
        "All or nothing",
        "This is their first campaign here.",
        "It was never returned.",
    ):
        assert part in said, part
    assert "What changed" not in said
    assert "Film nights under the viaduct" in await desk.read("/staff/reviews")


async def test_approving_is_a_fact_in_the_name_of_the_person(
    running: Running, staff: Caller
) -> None:
    """The button of the page approves, and the page of the campaign says so."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    page = await desk.get(f"/staff/reviews/{cid}")
    sent = await desk.browser.submit(page, f"/staff/reviews/{cid}/approve")
    assert sent.status_code == 303
    event = last(running)
    assert isinstance(event, CampaignApproved)
    assert event.by == f"staff:{desk.party}"
    running.platform.follower.catch_up()
    assert "Approved. The creator may launch it now." in await desk.read(sent.headers["location"])
    again = await desk.post(f"/staff/reviews/{cid}/approve")
    assert again.status_code == 409
    assert "Not done." in words(again)


async def test_nobody_approves_their_own_campaign(running: Running, staff: Caller) -> None:
    """The reason stands there before the click; who clicks all the same is refused."""
    desk = await worker(running, "staff")
    cid = await submitted(running, staff, creator_id=desk.party)
    reason = "You are of this campaign's team. Somebody else of the channel has to review it."
    page = await desk.get(f"/staff/reviews/{cid}")
    assert reason in words(page)
    assert f'action="/staff/reviews/{cid}/approve"' not in page.text
    refused = await desk.post(f"/staff/reviews/{cid}/approve")
    assert refused.status_code == 403
    assert reason in words(refused)


async def test_nor_that_of_a_party_that_joined_their_account(
    running: Running, staff: Caller
) -> None:
    """Who handed it in under another id is the same person."""
    desk = await worker(running, "staff")
    other = await running.platform.stores.people.add_person("creator", at=NOW)
    await running.platform.stores.accounts.join(other, desk.party, at=NOW)
    cid = await submitted(running, staff, creator_id=other)
    assert (await desk.post(f"/staff/reviews/{cid}/approve")).status_code == 403


async def test_returning_keeps_the_remarks_and_shows_what_changed(
    running: Running, staff: Caller
) -> None:
    """The remarks are in the content store, and the next submission is compared word by word."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    page = await desk.get(f"/staff/reviews/{cid}")
    sent = await desk.browser.submit(
        page, f"/staff/reviews/{cid}/return", body="Say where the generator stands."
    )
    assert sent.status_code == 303
    event = last(running)
    assert isinstance(event, CampaignReturned)
    kept = await running.platform.stores.content.get_many([event.text])
    assert kept[event.text]["body"] == "Say where the generator stands."
    changed = campaign(story="A proper screen.\n\nA silent generator.", goal_minor=9_000_000)
    again = await running.post(f"/campaigns/{cid}/resubmit", staff, changed)
    assert again.status_code == 200, again.text
    running.platform.follower.catch_up()
    shown = await desk.get(f"/staff/reviews/{cid}")
    assert "<del>quiet</del>" in shown.text
    assert "<ins>silent</ins>" in shown.text
    said = words(shown)
    assert "¥80,000 CNY" in said
    assert "¥90,000 CNY" in said
    assert "Say where the generator stands." in said


async def test_a_return_without_words_is_asked_for_them(running: Running, staff: Caller) -> None:
    """What was typed beside it is kept, and nothing is recorded."""
    cid = await submitted(running, staff)
    desk = await worker(running, "staff")
    before = running.platform.log.last()
    answer = await desk.post(f"/staff/reviews/{cid}/return", title="Two things", body=" ")
    assert answer.status_code == 422
    assert 'value="Two things"' in answer.text
    assert running.platform.log.last() == before


async def test_auditors_read_without_buttons(running: Running, staff: Caller) -> None:
    """An auditor sees the same page, and no form on it."""
    cid = await submitted(running, staff)
    auditor = await worker(running, "auditor")
    page = await auditor.get(f"/staff/reviews/{cid}")
    assert "Film nights under the viaduct" in words(page)
    assert "<form" not in page.text


def test_words_are_compared_not_lines() -> None:
    """In a long line only the changed word is marked; unchanged lines far off are left out."""
    before = "one\ntwo\nthree\nfour\nfive and six\n"
    after = "one\ntwo\nthree\nfour\nfive or six\n"
    found = diff(before, after)
    assert Piece("gone", "and") in found
    assert Piece("new", "or") in found
    assert Piece("skipped", "") in found
    assert not any("two" in piece.text for piece in found)


def test_chinese_is_compared_by_characters() -> None:
    """Chinese has no spaces: still only what changed is marked."""
    found = diff("我们有四十个位置", "我们有六十个位置")
    assert [(piece.kind, piece.text) for piece in found] == [
        ("same", "我们有"),
        ("gone", "四"),
        ("new", "六"),
        ("same", "十个位置"),
    ]


def test_a_diff_takes_no_time_to_speak_of() -> None:
    """A text that says one word over and over is shown as replaced: it would take minutes."""
    before, after = "a " * 1_900, "a b " * 950
    assert diff(before, after) == (Piece("gone", before), Piece("new", after))


def test_a_diff_loses_nothing() -> None:
    """Without skipped lines the pieces make up both texts."""
    before, after = "a b c d", "a x c d e"
    found = diff(before, after)
    assert "".join(piece.text for piece in found if piece.kind != "new") == before
    assert "".join(piece.text for piece in found if piece.kind != "gone") == after


def test_every_term_is_told() -> None:
    """A new term cannot be left out of the review."""
    submission = Submission(
        creator=new_id(),
        model="all_or_nothing",
        currency="CNY",
        goal_minor=1,
        deadline_at=NOW,
        terms=Terms(),
    )
    names = [name for name, _ in facts(submission, str)]
    # The reserve's share and its days stand in one line.
    assert len(names) == 6 + TERMS_TOLD - 1
    assert len(set(names)) == len(names)
