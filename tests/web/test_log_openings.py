"""What is opened and what the pages show, as anybody reads it."""

from __future__ import annotations

import gzip

from app.transparency.openings import decode_batch, decode_index, decode_live
from domain.terms import DAY_MS
from tests.api.running import Caller, Running, new_id, pledge


async def test_everybody_reads_what_is_opened(running: Running, staff: Caller) -> None:
    """Without a key: the list, each batch for ever, and the pages' numbers at one position."""
    campaign = (await running.launched(staff))["campaign_id"]
    backers = await running.backers(5)
    for backer in backers:
        answer = await running.post(
            f"/campaigns/{campaign}/pledges", staff, pledge(backer_id=backer, currency="CNY")
        )
        assert answer.status_code == 201, answer.text
    platform = running.platform
    platform.follower.catch_up()
    platform.transparency.catch_up()
    running.clock.now += DAY_MS
    assert platform.opener.publish_due() == 1
    listed = await running.client.get("/log/openings")
    assert listed.headers["access-control-allow-origin"] == "*"
    (one,) = decode_index(listed.content).campaigns
    assert (one.campaign, one.batches) == (campaign, 1)
    batch = await running.client.get(f"/log/openings/{campaign}/1")
    assert "immutable" in batch.headers["cache-control"]
    assert batch.headers["content-encoding"] == "gzip"
    assert decode_batch(batch.content).totals.pledged == 5 * 5_000
    plain = await running.client.get(
        f"/log/openings/{campaign}/1", headers={"accept-encoding": "identity"}
    )
    assert "content-encoding" not in plain.headers
    assert plain.content == batch.content
    kept = platform.openings.batch(campaign, 1)
    assert kept is not None
    assert gzip.decompress(kept) == plain.content
    totals = await running.client.get("/log/totals")
    live = decode_live(totals.content)
    assert live.position == platform.log.last()[0]
    (shown,) = live.campaigns
    assert (shown.campaign, shown.currency, shown.phase) == (campaign, "CNY", "live")
    assert shown.totals == decode_batch(batch.content).totals


async def test_there_is_nothing_else(running: Running) -> None:
    """Other numbers and other campaigns are not there; nothing is opened of an empty log."""
    listed = await running.client.get("/log/openings")
    assert decode_index(listed.content).campaigns == []
    assert decode_live((await running.client.get("/log/totals")).content).campaigns == []
    for path in (f"{new_id()}/1", f"{new_id()}/0", "platform/1", f"{new_id()}/-1", "x/y"):
        answer = await running.client.get(f"/log/openings/{path}")
        assert 400 <= answer.status_code < 500, path
