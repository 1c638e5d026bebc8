"""The audit pages: what was found is shown as it is, and the seal only where nothing was."""

from __future__ import annotations

import re

import msgspec
import pytest

from app.audit.findings import Finding
from app.metrics.meter import Standing
from app.settings import Settings, WitnessAddress
from app.transparency.note import COSIGNATURE, SigningKey
from app.transparency.store import SignedCheckpoint
from app.web.audit.books import WAITING_MS, PublicCheckpoint
from app.web.audit.pages import brief_cache
from app.web.audit.words import RULES
from tests.api.running import NOW, ORIGIN, Caller, Running, new_id, pledge
from tests.web.audit.conftest import Auditor
from tests.web.browsing import words

FORK = "The log signs nothing more."
SEAL = "Books verified 12 March 2026, 12:00 UTC, position 48,211"


async def page(running: Running, path: str, **query: str) -> tuple[int, str, str]:
    """A page as a visitor without a session gets it: its status, its words, its text."""
    answer = await running.client.get(path, params=query)
    return answer.status_code, words(answer), answer.text


def found(rule: str, position: int, campaign_id: str = "x") -> Finding:
    """A finding whose sentence is not for everybody."""
    return Finding(rule, position, f"campaign:{campaign_id}", "A sentence for the keepers.")


async def launched(running: Running, staff: Caller) -> str:
    """A live campaign with one pledge; its id."""
    made = await running.launched(staff)
    campaign_id: str = made["campaign_id"]
    backer = await running.caller("backer")
    answer = await running.post(f"/campaigns/{campaign_id}/pledges", backer, pledge())
    assert answer.status_code == 201, answer.text
    running.platform.follower.catch_up()
    return campaign_id


# --- Nothing yet ---------------------------------------------------------------------------------


async def test_nothing_was_audited_yet(running: Running, auditor: Auditor) -> None:
    """Without an audit the page says so, claims nothing and shows no seal."""
    status, said, text = await page(running, "/audit")
    assert status == 200
    assert "Not audited yet." in said
    assert "No checkpoint is published yet." in said
    assert "Holds." not in said
    assert said.count("Not checked yet.") == len(RULES) + 10
    assert "Books verified" not in said
    assert 'class="stamp"' not in text


# --- The seal ------------------------------------------------------------------------------------


async def test_a_clean_audit_bears_the_seal(running: Running, auditor: Auditor) -> None:
    """Verified and replayed without a finding: the seal, every rule, on every page."""
    auditor.verified()
    auditor.replayed()
    _, said, text = await page(running, "/audit")
    assert SEAL in said
    assert 'class="stamp"' in text
    assert said.count("Holds.") == len(RULES) + 6
    assert SEAL in (await page(running, "/help"))[1]


@pytest.mark.parametrize("missing", ["verify", "replay"])
async def test_half_an_audit_bears_no_seal(
    running: Running, auditor: Auditor, missing: str
) -> None:
    """The seal wants both the verification and the replay."""
    if missing == "verify":
        auditor.replayed()
    else:
        auditor.verified()
    assert "Books verified" not in (await page(running, "/audit"))[1]


async def test_a_broken_rule_is_shown_and_takes_the_seal(
    running: Running, auditor: Auditor
) -> None:
    """What the last verification found stands where it belongs, in words, and first of all."""
    auditor.verified(found("rule 6", 7), found("rule 6", 9), leaf=1)
    auditor.replayed()
    _, said, text = await page(running, "/audit")
    assert "The last verification found 3 faults." in said
    assert re.search(r"6\. Each campaign for itself .*? Broken 2 times\. 7\.", said)
    assert "Each leaf of the tree fits its event. Broken once." in said
    assert said.count("Holds.") == len(RULES) - 1 + 6
    assert "Books verified" not in said
    assert 'role="alert"' in text


async def test_a_replay_that_differs_takes_the_seal(running: Running, auditor: Auditor) -> None:
    """Where pages show something else than the log says, that is told."""
    auditor.verified()
    auditor.replayed(identical=False)
    _, said, _ = await page(running, "/audit")
    assert "The last replay differed from what the pages show." in said
    assert "Books verified" not in said


async def test_a_log_that_signs_nothing_takes_the_seal(running: Running, auditor: Auditor) -> None:
    """A fork is told in words, and what is only for the keepers is not."""
    auditor.verified()
    auditor.replayed()
    running.platform.fork = "the file /secret/place is another one"
    _, said, text = await page(running, "/audit")
    assert FORK in said
    assert "/secret/place" not in text
    assert "Books verified" not in said
    assert "It is tried again" not in said


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_rollback_is_no_connection_fault(
    running: Running, auditor: Auditor, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool
) -> None:
    """What the signer refuses is told as what it is, by whichever process follows the log; the
    line that nothing contradicts what was signed is not green any more.
    """
    auditor.verified(tree=True)
    auditor.replayed()
    assert "can tell. Holds." in (await page(running, "/audit"))[1]
    why = "A checkpoint of 9 events was signed (/secret/signed.json), and the log ends at 8"
    if elsewhere:
        told = Standing(tree_fault=why, tree_stopped=True)
        monkeypatch.setattr(running.platform, "standing", lambda: told)
    else:
        monkeypatch.setattr(running.platform.transparency._signer, "fault", why)
        assert running.platform.standing().tree_stopped
    _, said, text = await page(running, "/audit")
    assert FORK in said
    assert "does not continue what was signed before" in said
    assert "Have you a checkpoint or a receipt of your own? Keep it" in said
    assert "cannot be reached" not in said
    assert "can tell. Broken once." in said
    assert "signed.json" not in text
    assert "Books verified" not in said
    assert "Books verified" not in (await page(running, "/help"))[1]


async def test_a_witness_that_does_not_answer_is_told_soon(
    running: Running, auditor: Auditor, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seconds after a checkpoint was signed that nobody cosigned, the page says so; a quorum
    of none waits for nobody.
    """
    await launched(running, staff)
    platform = running.platform
    platform.transparency.catch_up()
    signed = platform.transparency.published()
    assert signed is not None
    late = SignedCheckpoint(signed.size + 1, signed.root, NOW, signed.note, "")
    monkeypatch.setattr(platform.transparency.store, "unpublished", lambda: late)
    monkeypatch.setattr(platform, "clock", lambda: NOW + WAITING_MS)
    waiting = "Waiting for witnesses."
    assert waiting not in (await page(running, "/audit"))[1]
    witness = SigningKey.generate("harbour.example/witness", COSIGNATURE)
    address = WitnessAddress(vkey=witness.verifier.encode(), url="http://127.0.0.1:1")
    platform.settings = _with_witness(platform.settings, address)
    assert waiting in (await page(running, "/audit"))[1]
    monkeypatch.setattr(platform, "clock", lambda: NOW + WAITING_MS - 1)
    assert waiting not in (await page(running, "/audit"))[1]


async def test_a_late_checkpoint_is_told(
    running: Running, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what signs is out of reach the page says no more than that, and bears no seal."""
    auditor.verified()
    auditor.replayed()
    late = "https://inside.example did not answer"
    monkeypatch.setattr(running.platform.transparency, "problem", lambda: late)
    _, said, text = await page(running, "/audit")
    assert "No new checkpoint is published at the moment." in said
    assert "inside.example" not in text
    assert "Books verified" not in said


async def test_a_broken_file_is_no_audit(running: Running, auditor: Auditor) -> None:
    """Whatever stands in the kept file, the page answers."""
    auditor.path.write_text("{")
    assert (await page(running, "/audit"))[0] == 200


# --- The checkpoint ------------------------------------------------------------------------------


async def test_the_last_checkpoint_is_shown(
    running: Running, auditor: Auditor, staff: Caller
) -> None:
    """Its size, root and key as they are published, and that nobody else is asked."""
    await launched(running, staff)
    running.platform.transparency.catch_up()
    published = running.platform.transparency.published()
    assert published is not None
    _, said, text = await page(running, "/audit")
    _, size, root, *_ = published.note.splitlines()
    assert f"Events in it {size}" in said
    assert f'data-copy="{root}"' in text
    key = running.platform.transparency.log_key.encode()
    assert f'data-copy="{key}"' in text
    assert "No witness is asked." in said
    assert f"tributary audit public {ORIGIN} --key {key}" in text


async def test_every_address_that_is_told_leads_somewhere(
    running: Running, auditor: Auditor, staff: Caller
) -> None:
    """The page and the listing name tiles that there are, however small the tree is."""
    listing = await running.client.get("/log/")
    assert listing.status_code == 200
    assert "No checkpoint has been published yet." in listing.text
    await launched(running, staff)
    running.platform.transparency.catch_up()
    text = (await page(running, "/audit"))[2]
    listing = await running.client.get("/log")
    assert listing.headers["content-type"].startswith("text/plain")
    assert "Events under the newest checkpoint: 4" in listing.text
    told = {*re.findall(r'href="(/log/[^"]*)"', text)}
    told |= set(re.findall(rf"^{ORIGIN}(/log/[^A-Z\n]*)$", listing.text, re.MULTILINE))
    assert {"/log/", "/log/tile/0/000.p/4", "/log/tile/entries/000.p/4", "/log/totals"} <= told
    for address in sorted(told):
        assert (await running.client.get(address)).status_code == 200, address


def test_the_tiles_of_a_tree_of_any_size() -> None:
    """Of each level the first tile, as wide as the tree has it."""
    tiles = {
        0: [],
        1: ["tile/0/000.p/1"],
        256: ["tile/0/000", "tile/1/000.p/1"],
        65_535: ["tile/0/000", "tile/1/000.p/255"],
        65_536: ["tile/0/000", "tile/1/000", "tile/2/000.p/1"],
    }
    for size, paths in tiles.items():
        found = PublicCheckpoint("x/log", size, b"", NOW, "key", (), (), 0)
        assert found.hash_tiles == paths


async def test_who_witnessed_it_is_named(running: Running, auditor: Auditor, staff: Caller) -> None:
    """A cosignature is shown with the witness's name and time; one that fails is not."""
    await launched(running, staff)
    platform = running.platform
    platform.transparency.catch_up()
    published = platform.transparency.published()
    assert published is not None
    witness = SigningKey.generate("harbour.example/witness", COSIGNATURE)
    text = published.note.partition("\n\n")[0] + "\n"
    platform.transparency.store.publish(
        published.size, published.note + witness.sign(text, 1_773_316_800)
    )
    address = WitnessAddress(vkey=witness.verifier.encode(), url="http://127.0.0.1:1")
    platform.settings = _with_witness(platform.settings, address)
    platform.transparency._known_at = float("-inf")
    _, said, text = await page(running, "/audit")
    assert "Witnessed harbour.example/witness · 12 March 2026, 12:00 UTC" in said
    vkey = witness.verifier.encode()
    assert f'data-copy="{vkey}"' in text
    key = platform.transparency.log_key.encode()
    assert f"tributary audit public {ORIGIN} --key {key} --witness {vkey}" in text
    assert f"Witness: {vkey}" in (await running.client.get("/log/")).text
    other = SigningKey.generate("harbour.example/witness", COSIGNATURE)
    address = WitnessAddress(vkey=other.verifier.encode(), url="http://127.0.0.1:1")
    platform.settings = _with_witness(platform.settings, address)
    _, said, _ = await page(running, "/audit")
    assert "not by any of the witnesses yet" in said


def _with_witness(settings: Settings, address: WitnessAddress) -> Settings:
    return msgspec.structs.replace(settings, witnesses=(address,), witness_quorum=1)


# --- A campaign's own page -----------------------------------------------------------------------


async def test_a_campaign_has_a_page_of_its_own(
    running: Running, auditor: Auditor, staff: Caller
) -> None:
    """Its part of the log, its numbers, and the way there from its page."""
    campaign_id = await launched(running, staff)
    auditor.verified(position=4)
    auditor.replayed()
    running.platform.transparency.catch_up()
    status, said, text = await page(running, f"/campaigns/{campaign_id}/audit")
    assert status == 200
    assert "Film nights under the viaduct" in said
    assert "Events 4 · from position 1 to 4" in said
    assert "All thirteen rules held after each of its events" in said
    assert "¥0 charged = ¥0 held" in said
    assert "Under the checkpoint all of it: the one of 4 events" in said
    assert "Still sealed 4 events" in said
    campaign_page = (await running.client.get(f"/campaigns/{campaign_id}")).text
    assert f'href="/campaigns/{campaign_id}/audit"' in campaign_page
    assert 'href="/audit"' in text


async def test_only_its_own_faults_are_shown(
    running: Running, auditor: Auditor, staff: Caller
) -> None:
    """A campaign is not blamed for another one's faults."""
    ours = await launched(running, staff)
    other = await launched(running, staff)
    auditor.verified(found("rule 6", 8, other))
    _, said, _ = await page(running, f"/campaigns/{ours}/audit")
    assert "Nothing that was found is about this campaign." in said
    _, said, _ = await page(running, f"/campaigns/{other}/audit")
    assert "Rule 6 , position 8: This campaign's money pays only for this campaign" in said
    assert "It does not hold." in said


async def test_what_came_after_the_check_is_told(
    running: Running, auditor: Auditor, staff: Caller
) -> None:
    """A check says nothing of events that it has not seen, and the page does not either."""
    campaign_id = await launched(running, staff)
    auditor.verified(position=3)
    _, said, _ = await page(running, f"/campaigns/{campaign_id}/audit")
    assert "Its last event, at position 4, came after that check" in said


async def test_nobody_is_on_the_pages(running: Running, auditor: Auditor, staff: Caller) -> None:
    """No id of a person or a pledge, whatever was found."""
    made = await running.launched(staff)
    campaign_id = made["campaign_id"]
    backer = await running.caller("backer")
    body = pledge()
    answer = await running.post(f"/campaigns/{campaign_id}/pledges", backer, body)
    assert answer.status_code == 201
    running.platform.follower.catch_up()
    running.platform.transparency.catch_up()
    auditor.verified(found("rule 4", 4, campaign_id))
    for path in ("/audit", f"/campaigns/{campaign_id}/audit"):
        text = (await page(running, path))[2]
        assert backer.party not in text
        assert body["pledge_id"] not in text
        assert "A sentence for the keepers." not in text


async def test_what_is_not_public_has_no_page(running: Running, auditor: Auditor) -> None:
    """There is no audit page of a campaign that nobody may see."""
    assert (await page(running, f"/campaigns/{new_id()}/audit"))[0] == 404


# --- In general ----------------------------------------------------------------------------------


async def test_it_is_told_in_chinese(running: Running, auditor: Auditor, staff: Caller) -> None:
    """Every sentence of ours."""
    auditor.verified()
    auditor.replayed()
    _, said, _ = await page(running, "/audit", lang="zh-Hans")
    assert "专款专用" in said
    assert "十三条规则" in said
    assert "Holds" not in said


async def test_a_page_is_kept_for_a_moment(running: Running, auditor: Auditor) -> None:
    """Who has no session gets the page that was made a moment ago; each language its own."""
    brief_cache(running.platform).kept_s = 1_000
    before = (await page(running, "/audit"))[1]
    auditor.verified()
    auditor.replayed()
    assert (await page(running, "/audit"))[1] == before
    headers = {"accept-language": "zh"}
    assert "账目" in (await running.client.get("/audit", headers=headers)).text


async def test_cheating_is_for_demos_alone(running: Running, auditor: Auditor) -> None:
    """Elsewhere there is no such page, to look at or to post to."""
    assert not running.platform.settings.demo
    assert (await running.client.get("/demo/cheat")).status_code == 404
    assert (await running.client.post("/demo/cheat", data={"way": "raise"})).status_code == 404
    assert "/demo/cheat" not in (await page(running, "/audit"))[2]
