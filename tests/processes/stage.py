"""A whole back office for one test: log, engine, test bank and processes on a clock we move."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from app.engine import CampaignDecider, Engine, Outcome
from app.log import decode_row, open_log
from app.payments.test_bank.bank import Bank
from app.payments.test_bank.cards import Behaviour
from app.payments.test_bank.notifications import Delivery
from app.payments.test_bank.rules import BankTerms
from app.processes import Processes
from app.processes.work import Work, open_work
from app.settings import load_settings
from domain import commands as c
from domain import events as e
from domain.ledger import postings
from domain.returning import display_state
from domain.state import Campaign, Pledge
from domain.terms import DAY_MS, Choice, Model, Reward, Submission, Terms

START = 1_700_000_000_000
DEADLINE = START + 30 * DAY_MS
SECRET = b"shared between the bank and us.."
CURRENCY = "BRL"
STAFF = "staff:5a11c0de-0000-4000-8000-000000000001"
TREASURER = "treasurer:5a11c0de-0000-4000-8000-000000000002"
CREATOR = "5a11c0de-0000-4000-8000-000000000003"
CHANNEL = "5a11c0de-0000-4000-8000-000000000004"

T = TypeVar("T")
Anything = Any
"""The fields of a Struct, by name: what is wrong in them fails the test that gives them."""


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


class Stage:
    """Everything in one directory, or log and work in a database; `restart` puts new processes in
    the place of killed ones.
    """

    def __init__(
        self, folder: Path, database_url: str = "", *, bank_terms: BankTerms | None = None
    ) -> None:
        self.now = START
        self.folder = folder
        self.settings = load_settings(
            {"TRIBUTARY_DATABASE_URL": database_url, "TRIBUTARY_SECRET": "s" * 32}, data_dir=folder
        )
        self.log = open_log(database_url, folder / "log.db")
        self.engine = Engine(self.log, None, CampaignDecider(), clock=lambda: self.now)
        self.bank = Bank(
            folder / "test_bank.db", notification_secret=SECRET, terms=bank_terms or BankTerms()
        )
        self.known_methods: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        self.strays: set[str] = set()
        self.processes = self.make_processes()

    def make_processes(self, **changes: Anything) -> Processes:
        """New processes over the same stores; `changes` replace what they are made with."""
        arguments: dict[str, Any] = {
            "log": self.log,
            "engine": self.engine,
            "provider": self.bank,
            "work": Work(open_work(self.settings)),
            "methods": self.methods,
            "clock": lambda: self.now,
            "accounts": lambda account_id: self.accounts.get(account_id, account_id),
        } | changes
        return Processes(**arguments)

    def restart(self, **changes: Anything) -> None:
        """The processes were killed; new ones begin over the same files."""
        self.processes.close()
        self.processes = self.make_processes(**changes)

    def close(self) -> None:
        """Close all files; the bank's books must agree with themselves."""
        self.processes.close()
        self.engine.close()
        self.log.close()
        self.bank.check_books()
        self.bank.close()

    def methods(self, ids: Collection[str]) -> Mapping[str, str]:
        """The bank's references of our payment method ids."""
        return {known: self.known_methods[known] for known in ids if known in self.known_methods}

    # --- Time ------------------------------------------------------------------------------------

    def step(self) -> int:
        """Do all that is due now."""
        return self.processes.step(self.now)

    def run_until(self, at: int, *, news: bool = True) -> None:
        """Move the clock from one due time to the next, up to `at`; the bank sends its news."""
        while True:
            self.step()
            self.bank.run_due(self.now)
            if news:
                self.deliver(self.deliveries())
                self.step()
            due = self.processes.next_due()
            if due is None or due > at:
                break
            self.now = max(self.now + 1, due)
        self.now = max(self.now, at)
        self.bank.run_due(self.now)
        if news:
            self.deliver(self.deliveries())
        self.step()

    def deliveries(self) -> list[Delivery]:
        """What the bank has to tell now."""
        return self.bank.due_notifications(self.now, 10_000)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Hear the bank's news."""
        for delivery in deliveries:
            self.processes.receive(delivery.headers, delivery.body)
            self.bank.mark_delivered(delivery.no, self.now)

    # --- What people do --------------------------------------------------------------------------

    def do(self, kind: type[c.Command], campaign_id: str, by: str, **content: Anything) -> Outcome:
        """Submit one command; a rejection is raised."""
        identity: dict[str, Any] = {"campaign_id": campaign_id, "by": by, "command_id": new_id()}
        return self.engine.submit(kind(**identity, **content))

    def campaign(
        self,
        *,
        model: Model = "all_or_nothing",
        goal_minor: int = 10_000,
        rewards: tuple[Reward, ...] = (),
        deadline_at: int = DEADLINE,
        **terms: Anything,
    ) -> str:
        """A live campaign."""
        campaign_id = new_id()
        submission = Submission(
            creator=CREATOR,
            model=model,
            currency=CURRENCY,
            goal_minor=goal_minor,
            deadline_at=deadline_at,
            terms=Terms(**terms),
            rewards=rewards,
        )
        creator = f"creator:{CREATOR}"
        self.do(c.SubmitCampaign, campaign_id, creator, channel=CHANNEL, submission=submission)
        self.do(c.ApproveCampaign, campaign_id, STAFF)
        self.do(c.LaunchCampaign, campaign_id, creator)
        return campaign_id

    def method(self, behaviour: Behaviour = "success") -> str:
        """A payment method of ours for a card that behaves so."""
        method_id = new_id()
        self.known_methods[method_id] = self.bank.prepare_method_direct(behaviour, at=self.now)
        return method_id

    def pledge(
        self,
        campaign_id: str,
        amount_minor: int = 10_000,
        behaviour: Behaviour = "success",
        choices: tuple[Choice, ...] = (),
    ) -> str:
        """A pledge of somebody new; returns its id."""
        pledge_id, backer = new_id(), new_id()
        self.do(
            c.MakePledge,
            campaign_id,
            f"backer:{backer}",
            pledge_id=pledge_id,
            backer=backer,
            amount_minor=amount_minor,
            currency=CURRENCY,
            choices=choices,
            payment_method=self.method(behaviour),
        )
        return pledge_id

    def approve_payout(self, campaign_id: str, account: str = "", **request: Anything) -> str:
        """A payout on its way to an account that the bank knows by this name."""
        account_id, payout_id = new_id(), new_id()
        self.accounts[account_id] = account or f"account-{account_id}"
        if not self.look(campaign_id, lambda state: state.account_id):
            self.do(c.VerifyPayoutAccount, campaign_id, STAFF, account_id=account_id)
        creator = f"creator:{CREATOR}"
        self.do(c.RequestPayout, campaign_id, creator, payout_id=payout_id, **request)
        self.do(c.ApprovePayout, campaign_id, TREASURER, payout_id=payout_id)
        return payout_id

    # --- What there is to see --------------------------------------------------------------------

    def look(self, campaign_id: str, see: Callable[[Campaign], T]) -> T:
        """See something of a campaign's state."""
        return self.engine.inspect(campaign_id, see)

    def state_of(self, campaign_id: str, no: int = 1) -> str:
        """Where a pledge stands, in the words of the rule book."""
        return self.look(campaign_id, lambda state: display_state(state.pledges[no - 1]))

    def phase(self, campaign_id: str) -> str:
        """Where a campaign stands."""
        return str(self.look(campaign_id, lambda state: state.phase))

    def events(self) -> list[e.Event]:
        """Every fact of the log."""
        return [decode_row(row) for row in self.log.read(0, 1_000_000)]

    def facts(self, *kinds: type[e.Event]) -> list[Any]:
        """The facts of these kinds, in order."""
        return [event for event in self.events() if isinstance(event, kinds)]

    def lines(self) -> list[tuple[str, int]]:
        """The bank's statement, as kind and amount."""
        return [(line.kind, line.amount_minor) for line in self.bank.statement(0, 1_000_000)]

    def check(self) -> None:
        """Our books of the bank's accounts are the bank's own, and nobody was charged twice."""
        ours = {"Clearing": 0, "Disputed": 0}
        for event in self.events():
            for posting in postings(event):
                account = posting.account.rpartition(":")
                if account[0] == f"Assets:Provider:{self.bank.name}":
                    ours[account[2]] += posting.amount_minor
        totals = self.bank.totals().get(CURRENCY)
        theirs = (totals.clearing_minor, totals.disputed_minor) if totals else (0, 0)
        assert (ours["Clearing"], ours["Disputed"]) == theirs
        charged = [
            line.key.rpartition("/")[0]
            for line in self.bank.statement(0, 1_000_000)
            if line.kind == "collected" and line.key not in self.strays
        ]
        assert len(charged) == len(set(charged)), "a pledge was charged twice"


def funds_of(pledge: Pledge) -> tuple[int, int, int]:
    """Collected, returned and remaining of a pledge."""
    assert pledge.funds is not None
    return pledge.funds.collected_minor, pledge.funds.returned_minor, pledge.funds.remainder_minor
