"""Who may open which page of the channel's desk, and do what."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from litestar.handlers import HTTPRouteHandler

from app.stores.people import Role
from app.web.staff.routes import HANDLERS
from tests.api.running import Caller, Running, new_id
from tests.web.staff.working import another_channel, submitted, worker

OPEN_TO: dict[str, frozenset[Role]] = {
    "show_desk": frozenset(("staff", "treasurer", "auditor")),
    "show_reviews": frozenset(("staff", "auditor")),
    "show_review": frozenset(("staff", "auditor")),
    "reviews.approve": frozenset(("staff",)),
    "send_back": frozenset(("staff",)),
    "show_campaigns": frozenset(("staff", "treasurer", "auditor")),
    "show_campaign": frozenset(("staff", "treasurer", "auditor")),
    "suspend": frozenset(("staff",)),
    "resume": frozenset(("staff",)),
    "show_cancel": frozenset(("staff",)),
    "cancel": frozenset(("staff",)),
    "verify_account": frozenset(("staff",)),
    "feature": frozenset(("staff",)),
    "show_content": frozenset(("staff", "auditor")),
    "take_down": frozenset(("staff",)),
    "hide_question": frozenset(("staff",)),
    "show_payouts": frozenset(("staff", "treasurer", "auditor")),
    "show_payout": frozenset(("staff", "treasurer", "auditor")),
    "payouts.approve": frozenset(("treasurer",)),
    "refuse": frozenset(("treasurer",)),
    "revoke": frozenset(("staff", "treasurer")),
    "show_debt": frozenset(("staff", "treasurer", "auditor")),
    "record_repayment": frozenset(("staff", "treasurer")),
    "write_off": frozenset(("treasurer",)),
    "show_reports": frozenset(("staff", "auditor")),
    "show_report": frozenset(("staff", "auditor")),
    "settle": frozenset(("staff",)),
    "show_disputes": frozenset(("staff", "treasurer", "auditor")),
    "resolve_discrepancy": frozenset(("staff", "treasurer")),
    "ask_again": frozenset(("staff",)),
    "show_needs": frozenset(("staff", "auditor")),
    "show_health": frozenset(("staff", "treasurer", "auditor")),
    "show_people": frozenset(("staff", "auditor")),
    "give": frozenset(("staff",)),
    "take": frozenset(("staff",)),
    "show_log": frozenset(("auditor",)),
}
"""Every address of the area by its handler, and the roles that may use it."""

ROLES: tuple[Role, ...] = ("staff", "treasurer", "auditor")


def name_of(handler: HTTPRouteHandler) -> str:
    """A handler's name, with its module's where two have the same."""
    name = handler.fn.__name__
    if name == "approve":
        return f"{handler.fn.__module__.rpartition('.')[2]}.approve"
    return str(name)


def doors() -> Iterable[HTTPRouteHandler]:
    """Every handler of the area."""
    return HANDLERS


def test_every_door_is_named_here() -> None:
    """A new address cannot be forgotten: whoever adds one says who may use it."""
    assert {name_of(handler) for handler in doors()} == set(OPEN_TO)


async def address(running: Running, staff: Caller, handler: HTTPRouteHandler) -> str:
    """The handler's address, about a campaign, report and payout of the test's channel."""
    (path,) = handler.paths
    if "{campaign_id:str}" in path:
        path = path.replace("{campaign_id:str}", await submitted(running, staff))
    if "{report_id:str}" in path:
        report = await running.platform.stores.reports.send(
            campaign_id=new_id(),
            channel=running.channel,
            reason="other",
            body="",
            source="test",
            at=running.clock.now,
        )
        path = path.replace("{report_id:str}", report)
    return re.sub(r"\{[a-z_]+:str\}", new_id(), path)


@pytest.mark.parametrize("handler", doors(), ids=name_of)
async def test_the_wrong_role_is_refused(
    running: Running, staff: Caller, handler: HTTPRouteHandler
) -> None:
    """Each role of the channel opens exactly its own doors, by reading and by sending."""
    path = await address(running, staff, handler)
    for role in ROLES:
        browser = await worker(running, role)
        posts = "POST" in handler.http_methods
        typed = {"channel": running.channel}
        answer = await (browser.post(path, **typed) if posts else browser.get(path))
        refused = answer.status_code == 403
        assert refused is (role not in OPEN_TO[name_of(handler)]), (role, answer.status_code)
        assert answer.status_code < 500


@pytest.mark.parametrize("handler", doors(), ids=name_of)
async def test_the_wrong_channel_is_refused(
    running: Running, staff: Caller, handler: HTTPRouteHandler
) -> None:
    """Who has every role in another channel is as much a stranger here as anybody."""
    path = await address(running, staff, handler)
    stranger = await worker(running, *ROLES, channel=await another_channel(running))
    if "POST" in handler.http_methods:
        answer = await stranger.post(path, channel=running.channel)
    else:
        answer = await stranger.get(f"{path}?channel={running.channel}")
    assert answer.status_code == 403


@pytest.mark.parametrize("handler", doors(), ids=name_of)
async def test_strangers_are_sent_to_sign_in(
    running: Running, staff: Caller, handler: HTTPRouteHandler
) -> None:
    """Without a session every door leads to the sign-in, and back."""
    path = await address(running, staff, handler)
    posts = "POST" in handler.http_methods
    answer = await (running.client.post(path) if posts else running.client.get(path))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("handler", doors(), ids=name_of)
async def test_a_form_of_another_site_does_nothing(
    running: Running, staff: Caller, handler: HTTPRouteHandler
) -> None:
    """A post without this browser's token is refused, whoever sends it."""
    if "POST" not in handler.http_methods:
        return
    path = await address(running, staff, handler)
    browser = await worker(running, *ROLES)
    answer = await browser.browser.post(path, {"channel": running.channel})
    assert answer.status_code == 403
