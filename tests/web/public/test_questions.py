"""Questions and answers, reports, and offers of help."""

from __future__ import annotations

import pytest

from app.stores.questions import MOST_A_DAY
from app.stores.reports import MOST_AN_HOUR
from tests.api.running import Caller, Running, new_id
from tests.web.browsing import Browser, words
from tests.web.public.looking import backs, come_in, launched_by, person, works_in


async def asked(running: Running, staff: Caller) -> tuple[str, Browser, Browser]:
    """A campaign, its creator's browser and a backer's."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    cid = await launched_by(running, staff, creator)
    backer = await person(running, "backer@example.org", "Sample backer")
    await backs(running, staff, cid, backer)
    return cid, await come_in(running, creator), await come_in(running, backer)


async def test_a_backer_asks_and_the_creator_answers(running: Running, staff: Caller) -> None:
    """Both stand on the campaign's page, without the backer's name."""
    cid, creator, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    nobody = Browser(running)
    assert "Nobody has asked yet." in words(await nobody.get(f"/campaigns/{cid}"))
    sent = await backer.submit(await backer.get(at), at, body="Is there a roof?\n\n<b>Really?</b>")
    assert sent.status_code == 303
    page = await nobody.get(f"/campaigns/{cid}")
    assert "Is there a roof?" in words(page)
    assert "&lt;b&gt;Really?" in page.text
    assert "Not answered yet" in words(page)
    assert "Sample backer" not in page.text
    (question,) = await running.platform.stores.questions.of_campaign(cid)
    path = f"{at}/{question.id}/answer"
    sent = await creator.submit(await creator.get(at), path, body="A large one.")
    assert sent.status_code == 303
    page = await nobody.get(f"/campaigns/{cid}")
    assert "A large one." in words(page)
    assert "Sample team answered on 12 March 2026" in words(page)


async def test_mails_go_to_who_waits(running: Running, staff: Caller) -> None:
    """The creator hears of the question, the backer of the answer."""
    cid, creator, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    await backer.submit(await backer.get(at), at, body="Is there a roof?")
    (question,) = await running.platform.stores.questions.of_campaign(cid)
    await creator.submit(await creator.get(at), f"{at}/{question.id}/answer", body="A large one.")
    async with running.platform.stores.people._engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT name, address, text FROM mails ORDER BY id")
        told = {row.name: row for row in rows}
    assert told["public_question"].address == "creator@example.org"
    assert "Is there a roof?" in told["public_question"].text
    assert told["public_answer"].address == "backer@example.org"


async def test_only_backers_ask(running: Running, staff: Caller) -> None:
    """Who does not back the campaign finds no form, and a sent one is refused."""
    cid, creator, _ = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    other = await come_in(running, await person(running, "other@example.org"))
    page = await other.get(at)
    assert "Only backers of this campaign can ask here" in words(page)
    assert f'action="{at}"' not in page.text
    report = await other.get(f"/campaigns/{cid}/report")
    for browser, known in ((other, report), (creator, await creator.get(at))):
        token = known.text.split('name="form_token" value="')[-1].partition('"')[0]
        sent = await browser.post(at, {"form_token": token, "body": "May I?"})
        assert sent.status_code == 403
    assert await running.platform.stores.questions.of_campaign(cid) == []


@pytest.mark.parametrize("body", ["", "  ", "x" * 4001])
async def test_a_question_that_is_none(running: Running, staff: Caller, body: str) -> None:
    """It is refused beside the field, and what was typed is kept."""
    cid, _, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    sent = await backer.submit(await backer.get(at), at, body=body)
    assert sent.status_code == 422
    assert 'aria-invalid="true"' in sent.text
    assert body.strip() in sent.text


async def test_nobody_asks_without_end(running: Running, staff: Caller) -> None:
    """Five questions a day are enough for one person and campaign."""
    cid, _, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    page = await backer.get(at)
    codes = [
        (await backer.submit(page, at, body=f"Question {n}?")).status_code
        for n in range(MOST_A_DAY + 1)
    ]
    assert codes == [303] * MOST_A_DAY + [429]


async def test_a_hidden_question_was_never_there(running: Running, staff: Caller) -> None:
    """The team and the staff hide with a reason; the public sees neither it nor that it was."""
    cid, creator, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    await backer.submit(await backer.get(at), at, body="Something unkind")
    (question,) = await running.platform.stores.questions.of_campaign(cid)
    path = f"{at}/{question.id}/hide"
    token = (await backer.get(at)).text.split('name="form_token" value="')[-1].partition('"')[0]
    form = {"form_token": token, "reason": "I want it"}
    assert (await backer.post(path, form)).status_code == 403
    no_reason = await creator.submit(await creator.get(at), path, reason="")
    assert no_reason.status_code == 422
    hidden = await creator.submit(await creator.get(at), path, reason="insults somebody")
    assert hidden.status_code == 303
    for place in (f"/campaigns/{cid}", at):
        seen = words(await backer.get(place))
        assert "Something unkind" not in seen
        assert "Hidden" not in seen
    assert "insults somebody" in words(await creator.get(at))


async def test_anybody_reports(running: Running, staff: Caller) -> None:
    """A report waits for the channel's staff, and changes nothing by itself."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/report"
    browser = Browser(running)
    typed = {"reason": "untrue", "body": "The viaduct was torn down.", "mail": "me@example.org"}
    sent = await browser.submit(await browser.get(at), at, **typed)
    assert "Thank you" in words(sent)
    (report,) = await running.platform.stores.reports.open(running.channel)
    assert (report.campaign_id, report.reason, report.mail) == (cid, "untrue", "me@example.org")
    assert "127.0.0.1" not in report.source
    assert "Suspended" not in words(await browser.get(f"/campaigns/{cid}"))
    await running.platform.stores.reports.resolve(report.id, by="staff:x", outcome="no", at=1)
    assert await running.platform.stores.reports.open(running.channel) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("reason", "nonsense"), ("reason", ""), ("body", "bad"), ("mail", "nobody"), ("mail", "")],
)
async def test_a_report_that_says_nothing(
    running: Running, staff: Caller, field: str, value: str
) -> None:
    """Each mistake is named beside its field, and what was typed is kept."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/report"
    browser = Browser(running)
    typed = {"reason": "untrue", "body": "The viaduct was torn down.", "mail": "me@example.org"}
    sent = await browser.submit(await browser.get(at), at, **(typed | {field: value}))
    assert sent.status_code == 422
    assert sent.text.count('class="error"') == 1
    if field != "body":
        assert "The viaduct was torn down." in sent.text
    assert await running.platform.stores.reports.open(running.channel) == []


async def test_reports_are_bounded(running: Running, staff: Caller) -> None:
    """A flood from one place is stopped; a program that fills in the trap is not even told."""
    cid = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{cid}/report"
    browser = Browser(running)
    typed = {"reason": "untrue", "body": "The viaduct was torn down.", "mail": "me@example.org"}
    page = await browser.get(at)
    trapped = await browser.submit(page, at, **typed, website="https://example.org")
    assert "Thank you" in words(trapped)
    assert await running.platform.stores.reports.open(running.channel) == []
    codes = [(await browser.submit(page, at, **typed)).status_code for _ in range(MOST_AN_HOUR + 1)]
    assert codes == [200] * MOST_AN_HOUR + [429]


async def test_help_is_offered(running: Running, staff: Caller) -> None:
    """A signed-in person offers so many; sending it twice offers once; the team cannot."""
    creator = await person(running, "creator@example.org", "Sample team", "creator")
    cid = await launched_by(running, staff, creator)
    helper = await come_in(running, await person(running, "helper@example.org"))
    page = await helper.get(f"/campaigns/{cid}")
    path = page.text.partition('<form class="offer" method="post" action="')[2].partition('"')[0]
    assert path.startswith(f"/campaigns/{cid}/needs/")
    for _ in range(2):
        sent = await helper.submit(page, path, quantity="3")
        assert "Thank you for offering help" in words(sent)
    wrong = await helper.submit(page, path, quantity="many")
    assert wrong.status_code == 422
    assert 'value="many"' in wrong.text
    running.platform.follower.catch_up()
    assert "3 more offered" in words(await Browser(running).get(f"/campaigns/{cid}"))
    team = await come_in(running, creator)
    own = await team.get(f"/campaigns/{cid}")
    assert 'class="offer"' not in own.text
    token = own.text.split('"x-form-token":"')[1].partition('"')[0]
    sent = await team.post(path, {"form_token": token, "quantity": "1", "offer_id": new_id()})
    assert sent.status_code == 409
    assert "cannot" in words(sent)


async def test_staff_hide_too(running: Running, staff: Caller) -> None:
    """The channel's staff can hide what the creator let stand; another channel's cannot."""
    cid, _, backer = await asked(running, staff)
    at = f"/campaigns/{cid}/questions"
    await backer.submit(await backer.get(at), at, body="Something unkind")
    (question,) = await running.platform.stores.questions.of_campaign(cid)
    party = await person(running, "staff@example.org")
    await works_in(running, party, "staff")
    browser = await come_in(running, party)
    path = f"{at}/{question.id}/hide"
    sent = await browser.submit(await browser.get(at), path, reason="insults somebody")
    assert sent.status_code == 303
    assert await running.platform.stores.questions.of_campaign(cid) == []
