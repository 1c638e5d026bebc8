"""What Prometheus is told."""

from __future__ import annotations

import uuid

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app.engine import Outcome
from app.engine.waiting import Job
from app.metrics.counting import counted, route_of
from app.metrics.meter import Facts, Lag, Meter, exposition
from app.payments.metered import MeteredProvider
from app.payments.port import Declined, Succeeded
from domain.commands import ApproveCampaign
from domain.errors import SoldOut
from domain.terms import DAY_MS
from tests.api.running import Caller, Running, pledge
from tests.serving.server import Served, eventually, run

FOLLOWERS = {"views", "search", "processes", "mail", "snapshots", "tree"}


def samples(text: str) -> dict[str, list[Sample]]:
    """Every sample by its name."""
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def total(found: dict[str, list[Sample]], name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    fitting = [s for s in found[name] if labels.items() <= s.labels.items()]
    return sum(sample.value for sample in fitting)


async def scrape(running: Running) -> dict[str, list[Sample]]:
    """What an auditor of the whole platform is told."""
    caller = await running.caller("auditor")
    answer = await running.client.get("/metrics", headers=caller.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(answer.text)


async def test_books_that_are_in_order(running: Running, staff: Caller) -> None:
    """Money was collected, and every account together is 0; what was done is counted."""
    campaign_id = (await running.launched(staff, goal_minor=10_000))["campaign_id"]
    (backer,) = await running.backers(1)
    method = await running.platform.stores.methods.add(
        party=backer,
        provider=running.platform.bank.name,
        reference=running.platform.bank.prepare_method_direct(at=running.clock.now),
        at=running.clock.now,
    )
    body = pledge(backer_id=backer, amount=12_000, payment_method=method)
    for _ in range(2):
        answer = await running.post(f"/campaigns/{campaign_id}/pledges", staff, body)
        assert answer.is_success, answer.text
    wrong = pledge(backer_id=backer, currency="EUR")
    assert (await running.post(f"/campaigns/{campaign_id}/pledges", staff, wrong)).is_client_error
    running.clock.now += 31 * DAY_MS
    running.work()
    found = await scrape(running)
    assert [(s.labels, s.value) for s in found["tributary_ledger_imbalance_minor"]] == [
        ({"currency": "CNY"}, 0)
    ]
    assert (
        total(found, "tributary_provider_requests_total", kind="collect", result="succeeded") == 1
    )
    assert total(found, "tributary_provider_call_seconds_count", kind="collect") == 1
    assert total(found, "tributary_commands_total", outcome="repeated") == 1
    assert total(found, "tributary_commands_total", outcome="rejected") >= 1
    position = running.platform.log.last()[0]
    assert total(found, "tributary_events_total") == position
    assert total(found, "tributary_log_position") == position
    assert total(found, "tributary_discrepancies_open") == 0
    turns = total(found, "tributary_turn_seconds_count")
    assert turns == total(found, "tributary_turn_seconds_bucket", le="+Inf") > 0
    assert {s.labels["follower"] for s in found["tributary_follower_lag_events"]} == FOLLOWERS
    assert total(found, "tributary_follower_lag_events", follower="views") == 0
    assert total(found, "tributary_http_requests_total", route="api_pledge") == 3


async def test_imbalance_shows(running: Running, staff: Caller) -> None:
    """Books that do not add up are told by how much."""
    await running.launched(staff)
    with running.platform.views.current().writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO journal_accounts VALUES ('Assets:Lost', 'EUR', 1, 0, 7)"
        )
    found = await scrape(running)
    assert total(found, "tributary_ledger_imbalance_minor", currency="EUR") == 7


async def test_a_lag_shows(running: Running, staff: Caller) -> None:
    """A follower that stands still is behind by events, and by the time since the first of them."""
    await running.launched(staff)
    campaign_id = (await running.launched(staff))["campaign_id"]
    (backer,) = await running.backers(1)
    for _ in range(3):
        body = pledge(backer_id=backer, currency="CNY")
        await running.post(f"/campaigns/{campaign_id}/pledges", staff, body)
    running.clock.now += 5_000
    found = await scrape(running)
    assert total(found, "tributary_follower_lag_events", follower="views") == 3
    assert total(found, "tributary_follower_lag_seconds", follower="views") == 5


async def test_only_who_reads_everything_is_told(running: Running, staff: Caller) -> None:
    """Without a key, with another role's, and with one of a single channel there are no metrics."""
    assert (await running.client.get("/metrics")).status_code == 401
    other = await running.client.get("/metrics", headers=staff.headers)
    assert other.status_code == 403
    stores = running.platform.stores
    party = await stores.people.add_person("auditor", at=running.clock.now)
    token, _ = await stores.keys.create(
        role="auditor", owner=party, at=running.clock.now, channel=running.channel
    )
    headers = {"authorization": f"Bearer {token}"}
    assert (await running.client.get("/metrics", headers=headers)).status_code in (401, 403)


async def test_no_campaign_and_no_person_is_named(running: Running, staff: Caller) -> None:
    """No label holds an id: what is told stays as small as it is."""
    campaign_id = (await running.launched(staff))["campaign_id"]
    await running.client.get(f"/campaigns/{campaign_id}")
    found = await scrape(running)
    values = {v for some in found.values() for sample in some for v in sample.labels.values()}
    assert campaign_id not in " ".join(values)
    assert not [value for value in values if len(value) > 30]


def test_answers_are_told_apart() -> None:
    """Every way in which a command is answered is counted as what it is."""
    meter = Meter()
    command = ApproveCampaign(campaign_id=str(uuid.uuid4()), by="staff:x", command_id="c")
    job = Job([command] * 4, ["s"] * 4, None)
    job.results = [Outcome(1, ()), Outcome(1, (), repeated=True), SoldOut(), RuntimeError()]
    meter.answered([(job, index) for index in range(4)])
    meter.turn(0.003, 4, 2)
    report = meter.report(turned_away=9)
    assert report.commands == {
        "accepted": 1,
        "repeated": 1,
        "rejected": 1,
        "failed": 1,
        "busy": 9,
    }
    found = samples(exposition([report], facts()).decode())
    assert total(found, "tributary_turn_seconds_bucket", le="0.002") == 0
    assert total(found, "tributary_turn_seconds_bucket", le="0.005") == 1


def facts() -> Facts:
    """Stores in which nothing is."""
    return Facts(
        position=0,
        last_at=0,
        lags={"views": Lag(0, 0.0)},
        faults={},
        imbalance_minor={},
        discrepancies=0,
        troubles=0,
        work={},
        mails_waiting=0,
    )


def test_calls_to_the_provider_are_told_apart() -> None:
    """Each request of a call is counted by what became of it; a call that failed as an error."""

    class Provider:
        def collect_many(self, requests: list[str]) -> list[Succeeded | Declined]:
            if not requests:
                raise ConnectionError
            moved = Succeeded(reference="r", amount_minor=1, currency="EUR", fee_minor=0, at=1)
            return [moved, Declined(code="card_declined", retryable=False)]

    meter = Meter()
    metered = MeteredProvider(Provider(), meter)  # type: ignore[arg-type]  # the part that is asked
    metered.collect_many(["a", "b"])  # type: ignore[list-item]  # never looked at
    with pytest.raises(ConnectionError):
        metered.collect_many([])
    report = meter.report()
    assert sorted(report.answers) == [
        ("collect", "declined", 1),
        ("collect", "error", 1),
        ("collect", "succeeded", 1),
    ]
    assert report.calls["collect"][0] == 2


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/api/v1/pledges/batch", "api_pledge"),
        ("POST", "/api/v1/campaigns/x/pledges", "api_pledge"),
        ("GET", "/api/v1/campaigns/x/pledges", "api"),
        ("GET", "/campaigns/x", "page"),
        ("GET", "/campaigns/x/live", "stream"),
        ("GET", "/static/a.css", "static"),
        ("GET", "/health/ready", "health"),
    ],
)
def test_routes_are_a_few_words(method: str, path: str, route: str) -> None:
    """Addresses fall into few classes."""
    assert route_of(method, path) == route


async def test_a_request_that_fails_is_no_longer_under_way() -> None:
    """What an application raises is counted, and passed on."""

    async def failing(*_: object) -> None:
        raise RuntimeError

    meter = Meter()
    with pytest.raises(RuntimeError):
        await counted(failing, meter)({"type": "http", "method": "GET", "path": "/"}, None, None)
    assert meter.in_flight == 0
    assert dict(meter.requests) == {("page", 499): 1}


@pytest.mark.slow
def test_every_process_is_told(shared: Served) -> None:
    """Whichever process is asked tells of all of them."""
    said = run(shared.stage, "keys", "create", "--role", "auditor")
    token = next(line for line in said.splitlines() if line.startswith("trb_"))
    shared.pledge()

    def all_told() -> dict[str, list[Sample]] | None:
        headers = {"authorization": f"Bearer {token}"}
        answer = httpx.get(f"{shared.stage.url}/metrics", headers=headers)
        assert answer.status_code == 200, answer.text
        found = samples(answer.text)
        whole = total(found, "tributary_commands_total", outcome="accepted") >= 1
        return found if whole else None

    found = eventually(all_told)
    port = shared.stage.settings.port
    names = {s.labels["process"] for s in found["tributary_process_start_time_seconds"]}
    assert names == {"follow", f"web-{port}-1", f"web-{port}-2"}
    assert total(found, "tributary_process_resident_memory_bytes", process="follow") > 2**20
    assert total(found, "tributary_follower_fault") == 0
