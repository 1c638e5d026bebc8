"""A campaign in plain dicts: what the rule book says, told a second time for the tests alone.

The model knows nothing of the domain's state or of its rules. It answers whether a command should
be accepted, and follows each fact with its own arithmetic: a fact whose amounts are not those that
the model comes to fails the test.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, assert_never

from domain import events as e
from domain.terms import Choice, Line, Milestone, Submission

DAY = 24 * 60 * 60 * 1_000
QUARTER = 15 * 60 * 1_000
GONE = ("withdrawn", "dropped", "released")
RESTING = ("made", "failed", "action_required")


def rounded(minor: int, bps: int) -> int:
    """A rate's part, a half to the even neighbour."""
    return round(Fraction(minor * bps, 10_000))


class Model:
    """One campaign that was launched, and the sums over its pledges."""

    def __init__(self, submission: Submission) -> None:
        """Begin at the launch."""
        self.submission, self.terms = submission, submission.terms
        self.phase, self.suspended, self.late, self.moved = "live", False, False, False
        self.deadline, self.won_at, self.plan, self.any_received = (
            submission.deadline_at,
            0,
            False,
            False,
        )
        self.rewards = {each.reward_id: each for each in submission.rewards}
        self.pledges: list[dict[str, Any]] = []
        self.holds: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.payouts: dict[str, dict[str, Any]] = {}
        self.odd: dict[str, int] = {}
        self.repaid: set[str] = set()
        self.reports: set[tuple[str, str]] = set()
        self.account, self.account_at = "", 0
        self.owed = self.paid = self.written_off = 0

    # --- Sums ------------------------------------------------------------------------------------

    def taken(self, reward_id: str) -> int:
        """Pieces that pledges claim and checkouts hold."""
        claims = [each["lines"] for each in self.pledges if each["claims"]]
        claims += [each["lines"] for each in self.holds.values()]
        return sum(lines.get(reward_id, 0) for lines in claims)

    def standing(self) -> list[dict[str, Any]]:
        """Pledges that count as pledged."""
        return [each for each in self.pledges if each["status"] not in GONE]

    def remainder(self, pledge: dict[str, Any]) -> int:
        """What is left of a pledge."""
        money = pledge["money"]
        if money is None:
            return 0
        fees = sum(money["fees"]) - sum(money["back"])
        return int(money["collected"] - fees - money["paid"] - money["drawn"])

    def aside(self, pledge: dict[str, Any]) -> int:
        """What open refunds and disputes of a pledge have a claim on."""
        claims = [*self.refunds.values(), *self.disputes.values()]
        return sum(each["claim"] for each in claims if each["open"] and each["no"] == pledge["no"])

    def free(self, pledge: dict[str, Any]) -> int:
        """What is left of a pledge and claimed by nothing."""
        return self.remainder(pledge) - self.aside(pledge)

    def waiting(self, pledge: dict[str, Any], among: dict[str, dict[str, Any]]) -> int:
        """The sum of a pledge's open refunds, or of its open disputes."""
        opened = [each for each in among.values() if each["open"]]
        return int(sum(each["minor"] for each in opened if each["no"] == pledge["no"]))

    def figures(self) -> dict[str, int]:
        """The five numbers and those beside them."""
        money = [each["money"] for each in self.pledges if each["money"]]
        on_the_way = sum(p["minor"] for p in self.payouts.values() if p["state"] == "approved")
        return {
            "pledged_minor": sum(each["minor"] for each in self.standing()),
            "pledges": len(self.standing()),
            "charged_minor": sum(each["collected"] for each in money),
            "held_minor": sum(map(self.remainder, self.pledges)) + on_the_way,
            "on_the_way_minor": on_the_way,
            "paid_minor": self.paid,
            "returned_minor": sum(each["refunded"] + each["lost"] for each in money),
            "fees_minor": sum(sum(each["fees"]) - sum(each["back"]) for each in money),
            "owed_minor": self.owed,
            "written_off_minor": self.written_off,
            "disputed_minor": sum(d["minor"] for d in self.disputes.values() if d["open"]),
            "suspense_minor": sum(self.odd.values()),
        }

    def open_debt(self) -> int:
        """What is owed and not taken by a payout on its way."""
        taken = sum(p["debt"] for p in self.payouts.values() if p["state"] == "approved")
        return int(self.owed - taken)

    def split(
        self, pledge: dict[str, Any], minor: int, own: int, *, in_full: bool
    ) -> tuple[int, int, int, int]:
        """Own money, platform's fee, processing fee, debt."""
        money = pledge["money"]
        opened = [r for r in self.refunds.values() if r["open"] and r["no"] == pledge["no"]]
        gone = money["refunded"] + money["lost"] + sum(each["minor"] for each in opened)
        stays = max(0, money["collected"] - gone - minor)
        reversals = []
        rates = (self.terms.platform_fee_bps, self.terms.processing_fee_bps)
        bearers = (self.terms.platform_fee_on_refund, self.terms.processing_fee_on_refund)
        for kind in (0, 1):
            left = money["fees"][kind] - money["back"][kind]
            left -= sum(each["split"][1 + kind] for each in opened)
            due = 0 if in_full else rounded(stays, rates[kind])
            bears = in_full or bearers[kind] == "platform"
            reversals.append(max(0, left - due) if bears else 0)
        covered = min(minor, own + sum(reversals))
        return covered, reversals[0], reversals[1], minor - covered

    def unpaid(self) -> list[Milestone]:
        """Milestones that no payout was approved for, or whose payout came back."""
        done = [p["milestone"] for p in self.payouts.values() if p["state"] in ("approved", "sent")]
        return [each for each in self.submission.milestones if each.milestone_id not in done]

    def shares(self, payout: dict[str, Any]) -> dict[int, int]:
        """What a payout takes of each pledge."""
        shares = {}
        for no in range(payout["from"], payout["to"] + 1):
            pledge = self.pledges[no - 1]
            charged = pledge["status"] == "collected" and pledge["money"]["due"]
            if charged and no not in payout["except"]:
                part = Fraction(max(0, self.free(pledge)) * payout["n"], payout["d"])
                shares[no] = part.numerator // part.denominator
        return shares

    # --- Facts -----------------------------------------------------------------------------------

    def learn(self, event: e.Event) -> None:
        """Follow a fact; its amounts have to be those that the model comes to."""
        match event:
            case e.PledgeMade():
                self._learn_made(event)
            case e.PledgeRevised():
                pledge = self.pledges[event.no - 1]
                assert event.was_minor == pledge["minor"]
                pledge.update(minor=event.amount_minor, lines=_pieces(event.lines), claims=True)
            case e.PledgeWithdrawn() | e.PledgeDropped() | e.PledgeReleased():
                pledge = self.pledges[event.no - 1]
                assert event.amount_minor == pledge["minor"]
                pledge["status"] = type(event).__name__.removeprefix("Pledge").lower()
                pledge["claims"] = pledge["claims"] and pledge["sent"]
            case e.HoldPlaced():
                lines = _pieces(event.lines)
                assert event.until_at == event.at + QUARTER
                self.holds[event.hold_id] = {
                    "backer": event.backer,
                    "lines": lines,
                    "until": event.until_at,
                }
            case e.HoldLapsed():
                del self.holds[event.hold_id]
            case e.RewardAdded() | e.RewardChanged():
                self.rewards[event.reward.reward_id] = event.reward
            case e.RewardStockChanged():
                was = self.rewards[event.reward_id]
                self.rewards[event.reward_id] = type(was)(
                    reward_id=was.reward_id,
                    price_minor=was.price_minor,
                    limit=event.limit,
                    shipping=was.shipping,
                    add_on=was.add_on,
                )
            case e.DeliveryMarked():
                for no in event.nos:
                    self.pledges[no - 1]["sent"] = True
            case e.DeliveryReceived():
                sent = self.pledges[event.no - 1]["sent"]
                self.any_received = self.any_received or sent
            case _:
                if not (self._learn_life(event) or self._learn_money(event)):
                    assert isinstance(event, _PASSED_OVER), event

    def _learn_made(self, event: e.PledgeMade) -> None:
        assert event.no == len(self.pledges) + 1
        self.holds.pop(event.hold_id, None)
        choices = tuple(Choice(line.reward_id, line.quantity) for line in event.lines)
        self.pledges.append(
            {
                "no": event.no,
                "id": event.pledge_id,
                "backer": event.backer,
                "minor": event.amount_minor,
                "lines": _pieces(event.lines),
                "claims": True,
                "first": (event.amount_minor, choices, event.destination),
                "status": "made",
                "attempt": 0,
                "since": 0,
                "sent": False,
                "money": None,
            }
        )

    def _learn_life(self, event: e.Event) -> bool:
        match event:
            case e.CampaignSuspended():
                self.suspended = True
            case e.CampaignResumed():
                self.suspended = False
            case e.DeadlineExtended():
                self.deadline, self.moved = event.deadline_at, True
            case e.CampaignSucceeded():
                self._closes(event)
                self.phase, self.won_at = "won", event.at
                self.holds.clear()
            case e.CampaignFailed():
                self._closes(event)
                self._release(event)
            case e.CampaignCancelled():
                self._release(event)
            case e.CampaignSettled():
                assert self.phase == "won"
                assert all(p["status"] in (*GONE, "collected") for p in self.pledges)
                self.phase = "settled"
            case e.CampaignCompleted():
                figures = self.figures()
                assert (figures["held_minor"], figures["owed_minor"]) == (0, 0)
                self.phase = "completed"
            case e.LatePledgesOpened() | e.LatePledgesClosed():
                self.late = isinstance(event, e.LatePledgesOpened)
                if not self.late and self.phase != "live":
                    self.holds.clear()
            case e.PlanUpdated():
                self.plan = True
            case _:
                return False
        return True

    def _closes(self, event: e.CampaignSucceeded | e.CampaignFailed) -> None:
        figures = self.figures()
        assert (event.pledged_minor, event.pledges) == (
            *(figures["pledged_minor"], figures["pledges"]),
        )
        goal = self.submission.goal_minor if self.submission.model == "all_or_nothing" else 1
        assert isinstance(event, e.CampaignSucceeded) == (event.pledged_minor >= goal)

    def _release(self, event: e.CampaignFailed | e.CampaignCancelled) -> None:
        released = [each for each in self.pledges if each["status"] in RESTING]
        assert event.released == len(released)
        assert event.released_minor == sum(each["minor"] for each in released)
        for each in released:
            each.update(status="released", claims=False)
        self.phase, self.late = "over", False
        self.holds.clear()

    def _learn_money(self, event: e.Event) -> bool:
        match event:
            case e.CollectionRequested():
                pledge = self.pledges[event.no - 1]
                assert event.amount_minor == pledge["minor"]
                pledge.update(status="collecting", attempt=event.attempt)
            case e.CollectionUnknown():
                self.pledges[event.no - 1]["status"] = "unknown"
            case e.CollectionActionRequired() | e.CollectionFailed():
                pledge = self.pledges[event.no - 1]
                asked = isinstance(event, e.CollectionActionRequired)
                pledge["status"] = "action_required" if asked else "failed"
                pledge["since"] = pledge["since"] or event.at
            case e.PledgeCollected():
                self._learn_collected(event)
            case e.FeesCharged():
                self._learn_fees(event)
            case e.RefundRequested() | e.PledgeRefunded() | e.RefundFailed():
                self._learn_refund(event)
            case e.DisputeOpened() | e.DisputeWon() | e.DisputeLost():
                self._learn_dispute(event)
            case e.DiscrepancyRecorded():
                self.odd[event.discrepancy_id] = event.amount_minor
                self.reports.add((event.kind, event.reference))
            case e.DiscrepancyResolved():
                assert self.odd.pop(event.discrepancy_id) == event.amount_minor
            case _:
                return self._learn_payout(event)
        return True

    def _learn_collected(self, event: e.PledgeCollected) -> None:
        pledge, won = self.pledges[event.no - 1], self.phase in ("won", "settled", "completed")
        assert event.amount_minor == pledge["minor"]
        rates = (self.terms.platform_fee_bps, self.terms.processing_fee_bps)
        fees = [rounded(event.amount_minor, bps) if won else 0 for bps in rates]
        assert [event.platform_fee_minor, event.processing_fee_minor] == fees
        pledge["status"] = "collected"
        pledge["money"] = {
            "collected": event.amount_minor,
            "at": event.at,
            "reference": event.reference,
            "due": won,
            "fees": fees,
            "back": [0, 0],
            "paid": 0,
            "refunded": 0,
            "lost": 0,
            "drawn": 0,
        }

    def _learn_fees(self, event: e.FeesCharged) -> None:
        sums = [0, 0]
        for pledge in self.pledges[event.from_no - 1 : event.to_no]:
            money = pledge["money"]
            if money is None or money["due"]:
                continue
            waits = self.waiting(pledge, self.refunds) or self.waiting(pledge, self.disputes)
            assert (pledge["no"] in event.except_nos) == bool(
                waits or pledge["status"] == "withdrawn"
            )
            if pledge["no"] not in event.except_nos:
                stays = max(0, money["collected"] - money["refunded"] - money["lost"])
                rates = (self.terms.platform_fee_bps, self.terms.processing_fee_bps)
                money["fees"] = [rounded(stays, bps) for bps in rates]
                money["due"] = True
                sums = [sums[0] + money["fees"][0], sums[1] + money["fees"][1]]
        assert [event.platform_fee_minor, event.processing_fee_minor] == sums

    def _learn_refund(self, event: e.RefundRequested | e.PledgeRefunded | e.RefundFailed) -> None:
        pledge = self.pledges[event.no - 1]
        match event:
            case e.RefundRequested():
                in_full = self.phase == "over"
                own = self.free(pledge)
                split = self.split(pledge, event.amount_minor, own, in_full=in_full)
                assert split == _told(event)
                self.refunds[event.refund_id] = {
                    "no": event.no,
                    "cause": event.cause,
                    "minor": event.amount_minor,
                    "split": split,
                    "open": True,
                    "claim": max(0, split[0] - split[1] - split[2]),
                }
                self._reopen()
            case e.PledgeRefunded():
                refund = self.refunds[event.refund_id]
                assert refund["open"]
                assert refund["split"] == _told(event)
                refund["open"] = False
                pledge["money"]["refunded"] += event.amount_minor
                self._draw(pledge, refund["split"])
            case e.RefundFailed():
                self.refunds[event.refund_id]["open"] = False
            case _:
                assert_never(event)

    def _reopen(self) -> None:
        if self.phase == "completed":
            self.phase = "settled"

    def _draw(self, pledge: dict[str, Any], split: tuple[int, int, int, int]) -> None:
        money = pledge["money"]
        money["drawn"] += split[0]
        money["back"] = [money["back"][0] + split[1], money["back"][1] + split[2]]
        self.owed += split[3]
        if money["refunded"] + money["lost"] >= money["collected"] and not pledge["sent"]:
            pledge["claims"] = False

    def _learn_dispute(self, event: e.DisputeOpened | e.DisputeWon | e.DisputeLost) -> None:
        pledge = self.pledges[event.no - 1]
        match event:
            case e.DisputeOpened():
                claim = min(self.free(pledge), event.amount_minor)
                facts = {"no": event.no, "minor": event.amount_minor, "open": True}
                self.disputes[event.dispute_id] = {**facts, "claim": claim}
                self._reopen()
            case e.DisputeWon():
                self.disputes[event.dispute_id]["open"] = False
            case e.DisputeLost():
                self.disputes[event.dispute_id]["open"] = False
                own, over = self.free(pledge), self.phase == "over"
                split = self.split(pledge, event.amount_minor, own, in_full=over)
                assert split == _told(event)
                pledge["money"]["lost"] += event.amount_minor
                self._draw(pledge, split)
            case _:
                assert_never(event)

    def _learn_payout(self, event: e.Event) -> bool:
        match event:
            case e.PayoutAccountVerified():
                wait = self.terms.account_wait_days * DAY if self.account else 0
                assert event.usable_from_at == event.at + wait
                self.account, self.account_at = event.account_id, event.usable_from_at
            case e.PayoutRequested():
                unpaid = self.unpaid()
                if unpaid:
                    assert event.milestone_id == unpaid[0].milestone_id
                    left = sum(each.share_bps for each in unpaid)
                    assert (event.numerator, event.denominator) == (unpaid[0].share_bps, left)
                self.payouts[event.payout_id] = {
                    "by": event.by,
                    "milestone": event.milestone_id,
                    "account": event.account_id,
                    "state": "requested",
                    "n": event.numerator,
                    "d": event.denominator,
                    "except": event.except_nos,
                    "from": event.from_no,
                    "to": event.to_no,
                    "minor": 0,
                    "debt": 0,
                }
            case e.PayoutApproved():
                payout = self.payouts[event.payout_id]
                shares = self.shares(payout)
                minor = sum(shares.values())
                debt = min(minor, self.open_debt())
                assert (event.amount_minor, event.debt_minor) == (minor, debt)
                self._pay(shares, 1)
                payout.update(state="approved", shares=shares, minor=minor, debt=debt)
            case e.PayoutRefused():
                self.payouts[event.payout_id]["state"] = "refused"
            case e.PayoutSent():
                payout = self.payouts[event.payout_id]
                assert (event.amount_minor, event.debt_minor) == (payout["minor"], payout["debt"])
                payout["state"] = "sent"
                self.paid += payout["minor"] - payout["debt"]
                self.owed -= payout["debt"]
            case e.PayoutFailed():
                payout = self.payouts[event.payout_id]
                payout["state"] = "failed"
                self._pay(payout["shares"], -1)
            case e.PayoutReturned():
                payout = self.payouts[event.payout_id]
                payout["state"] = "returned"
                self._pay(payout["shares"], -1)
                self.paid -= payout["minor"] - payout["debt"]
                self.owed += payout["debt"]
                self._reopen()
            case e.DebtRepaid():
                self.repaid.add(event.reference)
                self.owed -= event.amount_minor
                self.paid -= event.amount_minor
            case e.DebtWrittenOff():
                self.owed -= event.amount_minor
                self.written_off += event.amount_minor
            case _:
                return False
        return True

    def _pay(self, shares: dict[int, int], sign: int) -> None:
        for no, share in shares.items():
            self.pledges[no - 1]["money"]["paid"] += sign * share


_PASSED_OVER = (
    *(e.UpdatePosted, e.StoryChanged, e.PaymentMethodReplaced),
    *(e.NeedOffered, e.NeedAccepted, e.NeedDeclined, e.NeedReceived),
)


def _pieces(lines: tuple[Line, ...]) -> dict[str, int]:
    return {line.reward_id: line.quantity for line in lines}


def _told(event: e.RefundRequested | e.PledgeRefunded | e.DisputeLost) -> tuple[int, int, int, int]:
    return (
        event.from_held_minor,
        event.platform_fee_reversed_minor,
        event.processing_fee_reversed_minor,
        event.receivable_minor,
    )
