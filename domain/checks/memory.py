"""What an auditor remembers of a campaign besides its state, kept by itself alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from domain import events as e
from domain.checks.fields import Violation
from domain.state import Campaign, Funds, Pledge

Stage = Literal["early", "live", "won", "over"]
"""Before the launch, taking pledges, successful, or failed and cancelled."""


class Lost(Exception):  # noqa: N818 - the auditor lost track; what is wrong is the stream
    """A fact names what is not there, so that no state can follow it."""

    def __init__(self, rule: int, detail: str) -> None:
        super().__init__(detail)
        self.violation = Violation(rule, detail)


class Changes(NamedTuple):
    """By how much the remainder of each pledge from `from_no` on is to change, and by how much
    what is set aside of them together; in minor units.
    """

    from_no: int = 1
    remainders: Sequence[int] = ()
    aside_minor: int = 0


class Dispute(NamedTuple):
    """An open dispute and what it has a claim on."""

    no: int
    amount_minor: int
    aside_minor: int


class Approval(NamedTuple):
    """A payout as it was fixed: what each pledge from `from_no` on gave."""

    amount_minor: int
    debt_minor: int
    from_no: int
    shares: list[int]


class Memory:
    """The state before the next fact, own sums over the facts before it, and what is wrong.

    `balances` are the journal's, by kind of account, debit positive; `kinds` says which account is
    of which. `remainders_minor` and `aside_minor` are summed over the pledges' own changes.
    """

    def __init__(self, state: Campaign) -> None:
        """Begin before the first fact of this campaign."""
        self.state = state
        self.found: list[Violation] = []
        self.stage: Stage = "early"
        self.suspended = False
        self.late = False
        self.deadline_at = 0
        self.won_at = 0
        self.pledged_minor = 0
        self.pledges = 0
        self.charged_minor = 0
        self.returned_minor = 0
        self.remainders_minor = 0
        self.aside_minor = 0
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.kinds: dict[str, str] = {}
        self.accounts: dict[str, int] = {}
        self.refunds: dict[str, e.RefundRequested] = {}
        self.disputes: dict[str, Dispute] = {}
        self.requests: dict[str, e.PayoutRequested] = {}
        self.approved: dict[str, Approval] = {}
        self.sent: dict[str, Approval] = {}
        self.unsettled: dict[str, e.DiscrepancyRecorded] = {}

    def say(self, rule: int, detail: str) -> None:
        """Note a broken rule."""
        self.found.append(Violation(rule, detail))

    def must(self, rule: int, detail: str, fine: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """Note a broken rule unless all is fine."""
        if not fine:
            self.found.append(Violation(rule, detail))

    def pledge(self, no: int) -> Pledge:
        """The pledge with this number. Raises Lost."""
        pledge = self.state.pledge(no)
        if pledge is None:
            raise Lost(4, f"There is no pledge number {no}.")
        return pledge

    def funds(self, no: int) -> Funds:
        """What was collected of this pledge. Raises Lost where nothing was."""
        funds = self.pledge(no).funds
        if funds is None:
            raise Lost(5, f"Nothing was collected of pledge {no}.")
        return funds

    def pledges_in(self, from_no: int, to_no: int) -> Sequence[Pledge]:
        """The pledges of a range. Raises Lost where it is not one."""
        if not 1 <= from_no <= to_no <= len(self.state.pledges):
            raise Lost(6, f"There are no pledges {from_no} to {to_no}.")
        return self.state.pledges[from_no - 1 : to_no]

    def open_debt_minor(self) -> int:
        """What the creator owes and no payout on its way settles."""
        spoken_for = sum(approval.debt_minor for approval in self.approved.values())
        return self.balances["Receivable"] - spoken_for
