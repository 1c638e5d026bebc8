"""Who may call, and who may do what."""

from __future__ import annotations

import re

from app.asgi import create_app
from app.stores.people import Role
from tests.api.running import Running, pledge


async def test_no_valid_key_is_told_so(running: Running) -> None:
    """Without a valid key the answer is 401 and names the scheme."""
    for shown in (
        b"",
        b"Bearer nonsense",
        b"Bearer trb_0_0",
        b"Basic dXNlcjo=",
        b"Bearer \xff\xfe",
    ):
        answer = await running.client.get("/api/v1/campaigns", headers={b"authorization": shown})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "/problems/key-missing"


async def test_every_address_of_the_api_asks_for_a_key(running: Running) -> None:
    """No route below /api/v1 answers without one, whatever its method."""
    routes = [
        (method, route.path)
        for route in create_app(running.platform).routes
        if route.path.startswith("/api/v1")
        for method in route.methods
        if method != "OPTIONS"
    ]
    assert len(routes) > 40
    for method, path in routes:
        filled = re.sub(r"{\w+:(\w+)}", lambda part: "1" if part[1] == "int" else "x", path)
        answer = await running.client.request(method, filled)
        assert answer.status_code == 401, (method, path)


async def test_an_ended_key_is_refused(running: Running) -> None:
    """A key past its end opens nothing."""
    keys = running.platform.stores.keys
    token, _ = await keys.create(role="auditor", owner="x", at=1, expires_at=2)
    answer = await running.client.get(
        "/api/v1/events", headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 401


async def test_a_key_without_the_scope_is_refused(running: Running) -> None:
    """A valid key that may not do this is answered 403, before its body is looked at."""
    refused: list[tuple[Role, str]] = [
        ("backer", "/campaigns"),
        ("creator", "/backers"),
        ("creator", "/pledges/batch"),
        ("auditor", "/campaigns/x/approve"),
        ("staff", "/campaigns/x/payouts/approve"),
        ("treasurer", "/campaigns/x/pledges"),
    ]
    for role, path in refused:
        caller = await running.caller(role)
        answer = await running.client.post(
            f"/api/v1{path}", content=b"not json", headers=caller.headers
        )
        assert (answer.status_code, answer.json()["reason"]) == (403, "scope_missing"), path


async def test_the_log_is_for_auditors(running: Running) -> None:
    """Staff do not read raw events; an auditor does."""
    staff, auditor = await running.caller("staff"), await running.caller("auditor")
    assert (await running.get("/events", staff)).status_code == 403
    assert (await running.get("/events", auditor)).status_code == 200


async def test_a_backers_key_pledges_for_its_owner_alone(running: Running) -> None:
    """Without a name it is the owner's pledge; another's name is refused."""
    staff, backer = await running.caller("staff"), await running.caller("backer")
    (other,) = await running.backers(1)
    at = f"/campaigns/{(await running.launched(staff))['campaign_id']}/pledges"
    assert (await running.post(at, backer, pledge())).status_code == 201
    named = pledge(backer_id=backer.party)
    assert (await running.post(at, backer, named)).status_code == 201
    refused = await running.post(at, backer, pledge(backer_id=other))
    assert (refused.status_code, refused.json()["reason"]) == (403, "scope_missing")


async def test_an_import_names_its_backers(running: Running) -> None:
    """An import that names nobody would pledge for the importer: it is refused."""
    staff = await running.caller("staff")
    at = f"/campaigns/{(await running.launched(staff))['campaign_id']}/pledges"
    refused = await running.post(at, staff, pledge())
    assert (refused.status_code, refused.json()["reason"]) == (422, "body_invalid")


async def test_nobody_pays_with_anothers_method(running: Running) -> None:
    """A backer's key names only its owner's payment methods, in a pledge and afterwards."""
    staff = await running.caller("staff")
    mallory = await running.caller("backer")
    (alice,) = await running.backers(1)
    kept = await running.post(
        "/payment-methods", staff, {"backer_id": alice, "reference": "card-1"}
    )
    method = kept.json()["payment_method"]
    campaign_id = (await running.launched(staff))["campaign_id"]
    at = f"/campaigns/{campaign_id}/pledges"
    refused = await running.post(at, mallory, pledge(payment_method=method))
    assert (refused.status_code, refused.json()["reason"]) == (422, "payment_method_unknown")
    made = (await running.post(at, mallory, pledge())).json()
    refused = await running.post(
        f"{at}/payment-method",
        mallory,
        {"pledge_id": made["pledge_id"], "payment_method": method},
    )
    assert (refused.status_code, refused.json()["reason"]) == (422, "payment_method_unknown")
