"""Every reason for which a request may be refused, as programs are told it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from litestar.exceptions import NotFoundException

from app.api.actions import ACTIONS
from app.api.problems import EDGE_REASONS, Refused, explained, problem_of, problem_type
from app.engine import EngineBusy, EngineClosed, IdempotencyKeyReused, NotCommitted
from app.log import CommitUnknown
from domain.errors import REJECTIONS
from tests.api.running import Caller, Running, pledge

DOCS = Path(__file__).parents[2] / "docs/api.md"
STATUS = {"conflict": 409, "invalid": 422, "forbidden": 403, "missing": 404}


@pytest.mark.parametrize("reason", sorted(REJECTIONS))
def test_every_rejection_has_its_type(reason: str) -> None:
    """The type follows from the reason, the status from its kind, the detail is a sentence."""
    problem = problem_of(REJECTIONS[reason]())
    assert problem.type == f"/problems/{reason.replace('_', '-')}"
    assert problem.reason == reason
    assert problem.status == STATUS[REJECTIONS[reason].kind]
    assert problem.detail.endswith(".")
    assert problem.title[0].isupper()


@pytest.mark.parametrize("reason", sorted(EDGE_REASONS))
def test_every_reason_of_the_edge_has_its_type(reason: str) -> None:
    """So have the reasons that no rule knows."""
    problem = problem_of(Refused(reason))
    assert (problem.type, problem.status) == (problem_type(reason), EDGE_REASONS[reason][0])
    assert problem.detail.endswith(".")


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (EngineBusy("full"), 503, "engine_busy"),
        (EngineClosed("closed"), 503, "not_recorded"),
        (NotCommitted("disk full"), 503, "not_recorded"),
        (CommitUnknown("who knows"), 503, "outcome_unknown"),
        (IdempotencyKeyReused(), 409, "idempotency_key_reused"),
        (NotFoundException(), 404, "not_found"),
        (RuntimeError("secret of ours"), 500, "failed"),
    ],
)
def test_what_the_engine_says(fault: Exception, status: int, reason: str) -> None:
    """What happened inside is told by what the caller should do, never by its own words."""
    problem = problem_of(fault)
    assert (problem.status, problem.reason) == (status, reason)
    assert "secret" not in problem.detail
    assert "disk" not in problem.detail
    assert ("retry-after" in problem.headers) is (status == 503)


async def test_an_unknown_outcome_says_to_repeat(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the commit's fate is unknown the answer says so, and that the same id is safe."""
    cid = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)

    async def unknown(*_: object) -> None:
        raise CommitUnknown("the disk did not answer")

    monkeypatch.setattr(running.platform.engine, "submit_async", unknown)
    answer = await running.post(f"/campaigns/{cid}/pledges", staff, pledge(backer_id=backer))
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/outcome-unknown")
    assert "same id" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "1"


async def test_a_busy_engine_says_to_wait(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue is 503 for a whole batch, and nothing of it is done."""

    async def busy(*_: object) -> None:
        raise EngineBusy("65536 commands wait already")

    monkeypatch.setattr(running.platform.engine, "submit_many_async", busy)
    answer = await running.client.post(
        "/api/v1/pledges/batch", content=b"{}", headers=staff.headers
    )
    assert (answer.status_code, answer.json()["reason"]) == (503, "engine_busy")


async def test_what_nobody_foresaw_is_not_told(
    running: Running, staff: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours is 500 without a word of what it was."""

    async def breaks(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(running.platform.engine, "submit_async", breaks)
    answer = await running.post("/backers", staff, {})
    assert answer.status_code == 201
    answer = await running.post(f"/campaigns/{staff.party}/approve", staff, {})
    assert (answer.status_code, answer.json()["reason"]) == (500, "failed")
    assert "hunter2" not in answer.text


async def test_addresses_that_do_not_exist(running: Running) -> None:
    """Programs are told so as programs expect it."""
    for method, path, status, reason in (
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("DELETE", "/api/v1/campaigns", 405, "method_not_allowed"),
        ("GET", "/health/nothing", 404, "not_found"),
    ):
        answer = await running.client.request(method, path)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_every_type_leads_to_a_page(running: Running) -> None:
    """The address in `type` explains the reason; an invented one does not."""
    for reason, (_, text) in explained().items():
        page = await running.client.get(problem_type(reason))
        assert page.status_code == 200
        assert text.partition("'")[0] in page.text
    assert (await running.client.get("/problems/invented")).status_code == 404


def test_the_docs_name_every_problem_and_every_command() -> None:
    """The page lists exactly the types that an answer can have, and exactly the commands."""
    page = DOCS.read_text()
    types = re.findall(r"^\| `(/problems/[a-z-]+)` \| (\d+) \|", page, re.MULTILINE)
    assert {kind: int(status) for kind, status in types} == {
        problem_type(reason): status for reason, (status, _) in explained().items()
    }
    addresses = re.findall(r"^\| `([a-z/-]+)` \|.*\| `[a-z]+:?[a-z]*`.*\|$", page, re.MULTILINE)
    assert set(addresses) == {action.path for action in ACTIONS}
