"""What we hold about a person: shown, taken along, and really deleted."""

from __future__ import annotations

from pathlib import Path

from tests.api.running import NOW, Caller, Running, pledge
from tests.web.accounts.visiting import (
    MAIL,
    PASSWORD,
    account,
    letters,
    sign_in,
    signed_in,
    who_is,
)
from tests.web.browsing import Browser, words


async def test_everything_can_be_taken_along(running: Running, staff: Caller) -> None:
    """The file names what every table holds, and the pledges; but no proof."""
    mine = await account(running)
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, mine.party)
    running.work()
    browser = await signed_in(running)
    answer = await browser.get("/account/data/download")
    assert "attachment" in answer.headers["content-disposition"]
    whole = answer.json()
    assert whole["held"]["accounts"][0]["mail"] == MAIL
    assert whole["held"]["sessions"][0]["party"] == mine.party
    assert [line["campaign_id"] for line in whole["pledges"]] == [cid]
    for secret in ("password_hash", "token_hash", "$argon2"):
        assert secret not in answer.text
    running.clock.now += 10 * 60_000
    late = await browser.client.get("/account/data/download")
    assert late.headers["location"].startswith("/step-up")


async def pledged(running: Running, staff: Caller, campaign_id: str, backer: str) -> None:
    """A pledge of this backer's."""
    path = f"/campaigns/{campaign_id}/pledges"
    answer = await running.post(path, staff, pledge(backer_id=backer))
    assert answer.status_code == 201, answer.text


async def test_deleting_needs_the_address_typed_and_a_recent_proof(running: Running) -> None:
    """A click alone deletes nothing."""
    mine = await account(running)
    browser = await signed_in(running)
    page = await browser.get("/account/data")
    wrong = await browser.submit(page, "/account/data/delete", typed="delete")
    assert wrong.status_code == 422
    assert "This is not your mail address." in words(wrong)
    running.clock.now += 10 * 60_000
    late = await browser.submit(page, "/account/data/delete", typed=MAIL)
    assert late.headers["location"].startswith("/step-up")
    assert await running.platform.stores.accounts.get(mine.party) is not None


async def test_deleted_is_deleted(running: Running, staff: Caller) -> None:
    """No byte of name and address is left beside the log; the pledge still stands in the books."""
    mine = await account(running)
    stores = running.platform.stores
    earlier = await stores.people.add_person("backer", mail=MAIL, at=NOW)
    unjoined = await stores.people.add_person("backer", mail=MAIL, at=NOW)
    await stores.accounts.join(earlier, mine.party, at=NOW)
    await stores.people.change(mine.party, display_name="Wilhelmina Example")
    await stores.accounts.grant(mine.party, running.channel, "staff", by="test", at=NOW)
    token, _ = await stores.keys.create(role="backer", owner=mine.party, at=NOW)
    draft = await stores.drafts.create(
        channel=running.channel, creator=mine.party, body={"title": "Secret plan"}, at=NOW
    )
    assert await stores.keys.authenticate(token, at=NOW) is not None
    cid = (await running.launched(staff))["campaign_id"]
    await pledged(running, staff, cid, mine.party)
    running.work()
    browser, elsewhere = await signed_in(running), await signed_in(running)
    await browser.submit(await browser.get("/password-reset"), "/password-reset", mail=MAIL)
    assert await letters(running) != []
    page = await browser.get("/account/data")
    assert "One pledge of yours is not charged yet." in words(page)
    gone = await browser.submit(page, "/account/data/delete", typed=MAIL.upper())
    assert gone.status_code == 200
    assert "Your data is deleted" in words(gone)
    for visitor in (browser, elsewhere):
        assert await who_is(running, visitor) == ("", False)
    assert (await sign_in(Browser(running), MAIL, PASSWORD)).status_code == 422
    assert await stores.keys.authenticate(token, at=NOW) is None
    for party in (mine.party, earlier):
        assert (await stores.people.get(party)).forgotten_at == NOW
        assert await stores.people.key_of(party) is None
    assert (await stores.people.get(unjoined)).mail == ""
    assert (await stores.people.get(unjoined)).forgotten_at is None
    assert await stores.drafts.of_creator(mine.party) == []
    assert draft.id
    on_disk = everything(running.platform.settings.people_path)
    for trace in (MAIL.encode(), b"Wilhelmina", b"Secret plan", b"$argon2"):
        assert trace not in on_disk
    seen = (await running.client.get(f"/campaigns/{cid}")).text
    assert "5" in seen
    assert running.platform.log.last()[0] > 0


def everything(path: Path) -> bytes:
    """Every byte of the store as it is on disk, its write-ahead log included."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
