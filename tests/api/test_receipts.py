"""Receipts by API: for the pledge's backer alone, and never before a checkpoint covers them."""

from __future__ import annotations

import asyncio

from app.transparency.note import VerifierKey
from app.transparency.receipt_check import check_receipt
from tests.api.running import Caller, Running, pledge


async def pledged(running: Running, staff: Caller) -> tuple[Caller, str]:
    """A backer with a pledge made by API, and the address of its receipts."""
    campaign = await running.launched(staff)
    backer = await running.caller("backer")
    at = f"/campaigns/{campaign['campaign_id']}/pledges"
    made = await running.post(at, backer, pledge())
    assert made.status_code == 201, made.text
    running.platform.follower.catch_up()
    return backer, f"{at}/{made.json()['no']}/receipts"


async def test_a_receipt_is_waited_for_and_checks(running: Running, staff: Caller) -> None:
    """The list says that it is on its way; asked for, it comes with the next checkpoint."""
    backer, at = await pledged(running, staff)
    listed = (await running.get(at, backer)).json()
    assert [(one["kind"], one["ready"]) for one in listed["receipts"]] == [("pledged", False)]
    position = listed["receipts"][0]["position"]
    answer = await running.get(f"{at}/{position}", backer)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert "pledged.tlog-proof" in answer.headers["content-disposition"]
    key = VerifierKey.parse(listed["key"])
    assert check_receipt(answer.text, key).proved
    again = (await running.get(at, backer)).json()
    assert again["receipts"][0]["ready"]
    assert again["covered"] >= position
    short = await running.get(f"{at}/{position}?short=true", backer)
    assert len(short.text) < len(answer.text)
    assert check_receipt(short.text, key).points[-1].reason == "closed"


async def test_it_is_for_its_backer_alone(running: Running, staff: Caller) -> None:
    """Who may read the pledge may not have its receipt: staff, the creator, another backer."""
    backer, at = await pledged(running, staff)
    position = (await running.get(at, backer)).json()["receipts"][0]["position"]
    assert (await running.get(at.removesuffix("/receipts"), staff)).status_code == 200
    another = await running.caller("backer")
    for caller in (staff, another):
        for path in (at, f"{at}/{position}"):
            answer = await running.get(path, caller)
            assert answer.status_code == 403, path
    assert (await running.get(f"{at}/{position + 1}", backer)).status_code == 404
    assert (await running.get(at.replace("/1/", "/99/"), backer)).status_code == 404


async def test_what_is_not_signed_yet_is_asked_for_again(running: Running, staff: Caller) -> None:
    """503 with `Retry-After`, as of views that are behind."""
    backer, at = await pledged(running, staff)
    position = (await running.get(at, backer)).json()["receipts"][0]["position"]
    await asyncio.to_thread(_refuse_to_sign, running)
    answer = await running.get(f"{at}/{position}", backer)
    assert (answer.status_code, answer.json()["reason"]) == (503, "receipt_pending")
    assert "retry-after" in answer.headers


def _refuse_to_sign(running: Running) -> None:
    running.platform.transparency._signer.fault = "the log was rewound"
