"""Nothing that a client sends is answered with a fault of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.actions import ACTIONS
from tests.api.running import Caller, Running, campaign, new_id, pledge

NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**12 + 1,
    2**53,
    2**63,
    2**64,
    10**400,
    float("nan"),
    "",
    "\0",
    "\ud800",
    "x" * 70_000,
    "é" * 200,
    [],
    {},
    [[[[]]]],
    {"a": {"b": {}}},
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

POSTS = [
    "/backers",
    "/payment-methods",
    "/campaigns",
    "/campaigns/{id}/pledges",
    "/campaigns/{id}/resubmit",
    *(f"/campaigns/{{id}}/{action.path}" for action in ACTIONS),
]

BROKEN = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b'{"pledge_id": "\xc3\x28"}',
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b"{}{}",
    b"\0",
    b'{"amount": 1e999}',
    b'{"amount": ' + b"9" * 5_000 + b"}",
    b'\xef\xbb\xbf{"amount": 1}',
]


async def everything(running: Running) -> Caller:
    """A key that may do all that a key may."""
    return await running.caller(
        "staff",
        scopes=(
            *("backers:write", "campaigns:write", "events:read", "payouts:approve"),
            *("pledges:import", "pledges:write", "staff"),
        ),
    )


async def test_broken_bodies(running: Running) -> None:
    """No address answers a broken body with a fault of ours, and all tell what kind it was."""
    caller = await everything(running)
    cid = (await running.launched(caller))["campaign_id"]
    for path in POSTS:
        for body in BROKEN:
            answer = await running.client.post(
                "/api/v1" + path.replace("{id}", cid), content=body, headers=caller.headers
            )
            assert answer.status_code < 500, (path, body[:40], answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["status"] == answer.status_code


async def test_bodies_with_one_nasty_field(running: Running) -> None:
    """A good body with one field replaced by nonsense is refused, not broken by."""
    caller = await everything(running)
    cid = (await running.launched(caller))["campaign_id"]
    whole = {
        f"/campaigns/{cid}/pledges": pledge(
            **dict.fromkeys(
                ("reward_id", "destination", "visibility", "payment_method", "choices"), ""
            ),
            backer_id=new_id(),
        ),
        "/campaigns": campaign(),
    }
    for path, body in whole.items():
        for name in body:
            for value in NASTY:
                sent = json.dumps(body | {name: value}).encode()
                answer = await running.client.post(
                    f"/api/v1{path}", content=sent, headers=caller.headers
                )
                assert answer.status_code < 500, (path, name, value, answer.text)


async def test_nasty_addresses(running: Running) -> None:
    """Strange ids, endless numbers and broken escapes in an address are refused."""
    caller = await everything(running)
    nasty = ["%00", "%ff", "..%2f..", "x" * 3_000, "9" * 5_000, "-1", "%F0%9F%8C%8A", "a b", "'--"]
    for word in nasty:
        for path in (
            f"/api/v1/campaigns/{word}",
            f"/api/v1/campaigns?cursor={word}",
            f"/api/v1/campaigns?phase={word}",
            f"/api/v1/campaigns?at_least={word}",
            f"/api/v1/events?after={word}",
            f"/api/v1/campaigns/{word}/refund-quote?no=1",
            f"/campaigns/{word}",
            f"/campaigns/{word}/pledge",
            f"/campaigns/{new_id()}/pledges/{word}",
            f"/campaigns/{new_id()}/pledges/id/{word}",
            f"/checkout/{word}/return",
            f"/problems/{word}",
            f"/test-bank/pay/{word}",
            f"/test-bank/confirm/{word}",
            f"/static/{word}",
        ):
            answer = await running.client.get(path, headers=caller.headers)
            assert 400 <= answer.status_code < 500 or answer.status_code == 200, (path, answer.text)
        answer = await running.post(f"/campaigns/{word}/approve", caller, {})
        assert answer.status_code < 500, word


async def test_nasty_headers(running: Running) -> None:
    """Broken cookies, lengths and types of content break nothing."""
    caller = await everything(running)
    key = caller.headers["authorization"].encode()
    strange: list[dict[bytes, bytes]] = [
        {b"content-type": b"application/x-www-form-urlencoded"},
        {b"content-type": b"multipart/form-data"},
        {b"content-type": b"text/plain; charset=\xff"},
        {b"cookie": b"tributary=\xff; =; ;;"},
        {b"cookie": b"tributary=" + b"x" * 5_000},
        {b"accept": b"\xff"},
        {b"idempotency-key": b"\xff\xfe"},
    ]
    for headers in strange:
        for path in ("/api/v1/backers", f"/campaigns/{new_id()}/pledge"):
            answer = await running.client.post(
                path, content=b"{}", headers={b"authorization": key, **headers}
            )
            assert answer.status_code < 500, (path, headers)
        answer = await running.client.get("/me", headers=headers)
        assert answer.status_code == 200


@pytest.fixture
async def prepared(running: Running) -> tuple[Running, Caller, str]:
    """A live campaign, and a key that may do everything to it."""
    caller = await everything(running)
    return running, caller, (await running.launched(caller))["campaign_id"]


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_json(prepared: tuple[Running, Caller, str], data: st.DataObject) -> None:
    """Whatever JSON comes to whatever address, the answer is not a fault of ours."""
    running, caller, cid = prepared
    path = "/api/v1" + data.draw(st.sampled_from(POSTS)).replace("{id}", cid)
    body = json.dumps(data.draw(JSON)).encode()
    answer = running.send("POST", path, body, caller.headers)
    assert answer.status_code < 500, (path, body, answer.text)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(lines=st.lists(st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode), max_size=8))
def test_any_lines(prepared: tuple[Running, Caller, str], lines: list[bytes]) -> None:
    """Whatever lines a batch has, each gets an outcome that is not a fault of ours."""
    running, caller, _ = prepared
    body = b"\n".join(lines)
    answer = running.send("POST", "/api/v1/pledges/batch", body, caller.headers)
    assert answer.status_code == 200
    said = [json.loads(line) for line in answer.content.splitlines()]
    assert all(400 <= outcome["status"] < 500 for outcome in said)
    expected = body.split(b"\n")
    assert len(said) == len(expected) - (not expected[-1])
