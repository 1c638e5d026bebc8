"""A person's own statement and mails; numbers explained from memory."""

from __future__ import annotations

import pytest

from app.audit import kept
from app.audit.explain import Change, Explanation, Number, Shown, explain
from app.audit.kept import KeptExplanations
from tests.api.populating import peopled
from tests.api.running import Caller, Running


async def test_a_statement_is_drawn(running: Running) -> None:
    """As a PDF that is not the one of somebody without pledges."""
    world = await peopled(running)
    drawn = await running.get("/me/statement.pdf", world.keys["backer"])
    assert drawn.headers["content-type"] == "application/pdf"
    assert drawn.content.startswith(b"%PDF-")
    empty = await running.get("/me/statement.pdf", world.others["backer"])
    assert len(empty.content) < len(drawn.content)


async def test_mails_are_chosen_in_the_version_that_is_meant(running: Running) -> None:
    """What is turned off is off for the mails themselves; an old version, none, and what cannot be
    turned off are refused.
    """
    backer = await running.caller("backer")
    at = "/api/v1/me/mail-choices"

    async def choose(mark: str | None, *off: str) -> tuple[int, str]:
        named = {} if mark is None else {"if-match": mark}
        answer = await running.client.put(
            at, json={"off": list(off)}, headers=backer.headers | named
        )
        return answer.status_code, answer.json().get("reason", answer.headers.get("etag"))

    read = await running.client.get(at, headers=backer.headers)
    assert all(kind["on"] for kind in read.json()["kinds"])
    assert "staff" not in {kind["kind"] for kind in read.json()["kinds"]}
    first = read.headers["etag"]
    assert await choose(None, "updates") == (428, "precondition_required")
    assert await choose(first, "payment") == (422, "body_invalid")
    status, second = await choose(first, "updates", "refunds")
    assert status == 200
    choices = running.platform.stores.mail_choices
    assert await choices.off(backer.party) == {"updates", "refunds"}
    assert await choose(first, "followed") == (412, "precondition_failed")
    assert (await choose(second))[0] == 200
    assert await choices.off(backer.party) == frozenset()


async def test_a_number_is_explained_once_for_each_position(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read again only when the campaign moved."""
    world = await peopled(running)
    path = f"/campaigns/{world.ids['campaign_id'][1]}/explain/pledged"
    read: list[object] = []

    def counted(*args: object) -> Explanation:
        read.append(args)
        return explain(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "explain", counted)
    for caller in (world.keys["creator"], world.others["backer"]):
        answer = await running.get(path, caller)
        assert answer.json()["total_minor"] == 5_000
    assert len(read) == 1
    await running.post(
        f"/campaigns/{world.ids['campaign_id'][1]}/pledges",
        world.others["backer"],
        {"pledge_id": running.channel, "amount": 1_000},
    )
    running.work()
    again = (await running.get(path, Caller("", world.keys["staff"].headers))).json()
    assert (again["total_minor"], len(read)) == (6_000, 2)


async def test_explanations_are_bounded(monkeypatch: pytest.MonkeyPatch, running: Running) -> None:
    """What was not asked for longest is forgotten, by the number of events."""

    def explained(_: object, campaign: str, number: Number, shown: Shown) -> Explanation:
        change = Change(1, 1, "pledge.made.v1", 1, 1, 1)
        return Explanation(campaign, number, "CNY", shown.position, 1, [change] * 4)

    monkeypatch.setattr(kept, "_explained", explained)
    found = KeptExplanations(most=15)
    path = running.platform.settings.log_path
    for position in range(20):
        await found.explained(path, "one", "held", Shown(1, position))
    assert len(found) == 3
