"""A campaign's life: from the submission over the launch and the deadline to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain import commands as c
from domain import errors
from domain import events as e
from domain.collecting import fees_due
from domain.ids import is_code, is_id, is_region, is_text_hash
from domain.money import BASIS_POINTS, EXPONENTS, MAX_AMOUNT_MINOR, is_amount
from domain.rules import head, require_creator, require_phase, require_role
from domain.state import AT_REST, WON, Campaign, Phase, Status, Stock
from domain.stock import return_stock
from domain.terms import MAX_AT, MAX_PIECES, Milestone, Model, Need, Reward, Submission

_MAX_TEAM = 50
_MAX_PARTS = 500


# --- Submission and review -----------------------------------------------------------------------


def submission_faults(submission: Submission, at: int) -> list[str]:
    """Name everything that keeps a submission from being handed in, as sentences."""
    found = list(submission.terms.faults(submission.model))
    if submission.currency not in EXPONENTS:
        found.append("the currency is an ISO 4217 code of money in use")
    if not is_amount(submission.goal_minor):
        found.append("the goal lies between 1 and 10^12 minor units")
    if not at < submission.deadline_at <= MAX_AT:
        found.append("the deadline lies in the future, before the year 10000")
    if not is_id(submission.creator) or not all(map(is_id, submission.team)):
        found.append("creator and team are party ids")
    if len(submission.team) > _MAX_TEAM:
        found.append(f"a team has at most {_MAX_TEAM} members")
    if not is_text_hash(submission.text):
        found.append("the text is a content hash")
    found += _duplicate_ids(submission)
    for reward in submission.rewards:
        found += reward_faults(reward)
    for need in submission.needs:
        found += _need_faults(need)
    found += _milestone_faults(submission.milestones)
    return found


def reward_faults(reward: Reward) -> list[str]:
    """Name everything that keeps a reward from being offered, as sentences."""
    found = []
    if not is_id(reward.reward_id) or not is_text_hash(reward.text):
        found.append("a reward has an id and a content hash")
    if not is_amount(reward.price_minor):
        found.append("a reward's price lies between 1 and 10^12 minor units")
    if reward.limit is not None and not 1 <= reward.limit <= MAX_PIECES:
        found.append("a reward's limit lies between 1 and 10^9, or there is none")
    if reward.delivery_at is not None and not 0 <= reward.delivery_at <= MAX_AT:
        found.append("a delivery is estimated for a time before the year 10000")
    regions = [fee.region for fee in reward.shipping]
    if not all(map(is_region, regions)) or len(set(regions)) != len(regions):
        found.append("shipping names each destination once, by country code or *")
    if not all(0 <= fee.fee_minor <= MAX_AMOUNT_MINOR for fee in reward.shipping):
        found.append("a shipping fee lies between 0 and 10^12 minor units")
    return found


def _need_faults(need: Need) -> list[str]:
    fine = is_id(need.need_id) and is_text_hash(need.text) and 1 <= need.quantity <= MAX_PIECES
    return [] if fine else ["a need has an id, a content hash and a quantity of 1 to 10^9"]


def _milestone_faults(milestones: tuple[Milestone, ...]) -> list[str]:
    if not milestones:
        return []
    found = []
    if not all(is_id(m.milestone_id) and is_text_hash(m.text) for m in milestones):
        found.append("a milestone has an id and a content hash")
    shares = [milestone.share_bps for milestone in milestones]
    if min(shares) < 1 or sum(shares) != BASIS_POINTS:
        found.append("the milestones' shares are positive and sum to 10,000 basis points")
    return found


def _duplicate_ids(submission: Submission) -> list[str]:
    ids = [reward.reward_id for reward in submission.rewards]
    ids += [need.need_id for need in submission.needs]
    ids += [milestone.milestone_id for milestone in submission.milestones]
    found = [] if len(ids) == len(set(ids)) else ["rewards, needs and milestones have unique ids"]
    if len(ids) > _MAX_PARTS:
        found.append(f"a campaign has at most {_MAX_PARTS} rewards, needs and milestones")
    return found


def _require_fit(submission: Submission, at: int) -> None:
    if faults := submission_faults(submission, at):
        raise errors.ContentInvalid(f"Not fit to submit: {'; '.join(faults)}.")


def submit(state: Campaign, command: c.SubmitCampaign, at: int) -> list[e.Event]:
    """Begin the stream with everything that was submitted."""
    if state.phase is not Phase.NONE:
        raise errors.CampaignExists
    if not is_id(command.channel) or not is_id(command.campaign_id):
        raise errors.ContentInvalid("A campaign and its channel have random ids.")
    require_role(command, "creator", "staff")
    submission = command.submission
    _require_fit(submission, at)
    by_creator = command.by == f"creator:{submission.creator}"
    if not by_creator and not command.by.startswith("staff:"):
        raise errors.NotAllowed("A campaign is submitted by its creator, or by staff for it.")
    facts = head(state, command, at) | {"channel": command.channel}
    return [e.CampaignSubmitted(**facts, submission=submission)]


def submitted(state: Campaign, event: e.CampaignSubmitted | e.CampaignResubmitted) -> None:
    """Keep the submission."""
    state.channel = event.channel
    state.phase = Phase.SUBMITTED
    state.submission = event.submission
    state.deadline_at = event.submission.deadline_at
    state.stocks = {reward.reward_id: Stock(reward) for reward in event.submission.rewards}


def return_(state: Campaign, command: c.ReturnCampaign, at: int) -> list[e.Event]:
    """Staff send it back with remarks."""
    require_phase(state, Phase.SUBMITTED, Phase.APPROVED)
    require_role(command, "staff")
    if not is_text_hash(command.text):
        raise errors.ContentInvalid("Remarks are given by their content hash.")
    return [e.CampaignReturned(**head(state, command, at), text=command.text)]


def returned(state: Campaign, _: e.CampaignReturned) -> None:
    """It is the creator's turn."""
    state.phase = Phase.RETURNED


def resubmit(state: Campaign, command: c.ResubmitCampaign, at: int) -> list[e.Event]:
    """The creator hands it in again; the creator stays the same."""
    require_phase(state, Phase.RETURNED)
    require_creator(state, command)
    _require_fit(command.submission, at)
    if command.submission.creator != state.bound.creator:
        raise errors.ContentInvalid("A campaign keeps its creator.")
    return [e.CampaignResubmitted(**head(state, command, at), submission=command.submission)]


def approve(state: Campaign, command: c.ApproveCampaign, at: int) -> list[e.Event]:
    """Staff who are not of the creator's team approve."""
    require_phase(state, Phase.SUBMITTED)
    require_role(command, "staff")
    if state.is_by_team(command.by):
        raise errors.NotAllowed("The creator's team does not approve its own campaign.")
    return [e.CampaignApproved(**head(state, command, at))]


def approved(state: Campaign, _: e.CampaignApproved) -> None:
    """It may be launched."""
    state.phase = Phase.APPROVED


def launch(state: Campaign, command: c.LaunchCampaign, at: int) -> list[e.Event]:
    """Bind goal, currency, model and terms, and go live."""
    require_phase(state, Phase.APPROVED)
    require_creator(state, command)
    if at >= state.deadline_at:
        raise errors.WrongPhase("The deadline has passed: submit again with a later one.")
    bound = state.bound
    return [
        e.CampaignLaunched(
            **head(state, command, at),
            model=bound.model,
            currency=bound.currency,
            goal_minor=bound.goal_minor,
            deadline_at=bound.deadline_at,
            terms=bound.terms,
        )
    ]


def launched(state: Campaign, _: e.CampaignLaunched) -> None:
    """Pledges are welcome."""
    state.phase = Phase.LIVE


# --- Suspension, deadline, end -------------------------------------------------------------------


def suspend(state: Campaign, command: c.SuspendCampaign, at: int) -> list[e.Event]:
    """Staff stop the money; leaving stays allowed."""
    require_phase(state, Phase.LIVE, *WON)
    require_role(command, "staff")
    if state.suspended:
        raise errors.CampaignSuspended("The campaign is suspended already.")
    if not is_code(command.cause):
        raise errors.ContentInvalid("A cause is a code.")
    return [e.CampaignSuspended(**head(state, command, at), cause=command.cause)]


def suspended(state: Campaign, _: e.CampaignSuspended) -> None:
    """No pledges, collections or payouts."""
    state.suspended = True


def resume(state: Campaign, command: c.ResumeCampaign, at: int) -> list[e.Event]:
    """Staff lift the suspension."""
    require_role(command, "staff")
    if not state.suspended:
        raise errors.WrongPhase("The campaign is not suspended.")
    return [e.CampaignResumed(**head(state, command, at))]


def resumed(state: Campaign, _: e.CampaignResumed) -> None:
    """As before."""
    state.suspended = False


def extend_deadline(state: Campaign, command: c.ExtendDeadline, at: int) -> list[e.Event]:
    """Once, later, before it has passed."""
    require_phase(state, Phase.LIVE)
    require_creator(state, command)
    if state.deadline_moved or at >= state.deadline_at:
        raise errors.DeadlineFixed
    if not state.deadline_at < command.deadline_at <= MAX_AT:
        raise errors.DeadlineFixed("A deadline moves only to a later time.")
    return [e.DeadlineExtended(**head(state, command, at), deadline_at=command.deadline_at)]


def deadline_extended(state: Campaign, event: e.DeadlineExtended) -> None:
    """The one later deadline."""
    state.deadline_at = event.deadline_at
    state.deadline_moved = True


def reaches(model: Model, pledged_minor: int, goal_minor: int) -> bool:
    """Whether a campaign succeeds with what is pledged at its deadline."""
    match model:
        case "all_or_nothing":
            return pledged_minor >= goal_minor
        case "flexible":
            return pledged_minor > 0


def close(state: Campaign, command: c.CloseCampaign, at: int) -> list[e.Event]:
    """At or after the deadline; a suspension does not hold it up.

    What was charged at the pledge owes its fees from here, for success is certain now.
    """
    require_phase(state, Phase.LIVE)
    require_role(command, "system", "staff")
    if at < state.deadline_at:
        raise errors.DeadlineNotReached
    figures, bound = state.figures, state.bound
    facts: dict[str, Any] = {
        "pledged_minor": figures.pledged_minor,
        "pledges": figures.pledges,
    }
    if not reaches(bound.model, figures.pledged_minor, bound.goal_minor):
        released_minor, released = _to_release(state)
        return [
            e.CampaignFailed(
                **head(state, command, at),
                **facts,
                released_minor=released_minor,
                released=released,
            )
        ]
    decided: list[e.Event] = [e.CampaignSucceeded(**head(state, command, at), **facts)]
    due = fees_due(state, 1, len(state.pledges))
    if due is not None:
        decided.append(e.FeesCharged(**head(state, command, at, offset=1), **due))
    return decided


def succeeded(state: Campaign, event: e.CampaignSucceeded) -> None:
    """What was promised may be charged."""
    state.phase = Phase.SUCCEEDED
    state.succeeded_at = event.at
    _drop_holds(state)


def failed(state: Campaign, _: e.CampaignFailed) -> None:
    """Nobody is charged; what was charged goes back."""
    state.phase = Phase.FAILED
    state.late_open = False
    _release_all(state)


def cancel(state: Campaign, command: c.CancelCampaign, at: int) -> list[e.Event]:
    """By the creator before the deadline, by staff at any time before completion."""
    require_phase(
        state,
        Phase.SUBMITTED,
        Phase.RETURNED,
        Phase.APPROVED,
        Phase.LIVE,
        Phase.SUCCEEDED,
        Phase.SETTLED,
    )
    require_creator(state, command)
    closed = state.phase in WON or (state.phase is Phase.LIVE and at >= state.deadline_at)
    if closed and not command.by.startswith("staff:"):
        raise errors.NotAllowed("After the deadline only staff call a campaign off.")
    if not is_code(command.cause):
        raise errors.ContentInvalid("A cause is a code.")
    if any(payout.state == "approved" for payout in state.payouts.values()):
        raise errors.PayoutInFlight
    released_minor, released = _to_release(state)
    return [
        e.CampaignCancelled(
            **head(state, command, at),
            cause=command.cause,
            released_minor=released_minor,
            released=released,
        )
    ]


def cancelled(state: Campaign, _: e.CampaignCancelled) -> None:
    """Nobody else is charged; each pledge's remainder goes back."""
    state.phase = Phase.CANCELLED
    state.late_open = False
    _release_all(state)


def settled(state: Campaign, _: e.CampaignSettled) -> None:
    """Every pledge is collected or terminal."""
    state.phase = Phase.SETTLED


def completed(state: Campaign, _: e.CampaignCompleted) -> None:
    """Nothing held, nothing owed."""
    state.phase = Phase.COMPLETED


def open_late_pledges(state: Campaign, command: c.OpenLatePledges, at: int) -> list[e.Event]:
    """The creator takes pledges after success; said before the deadline, it holds from then on.

    A campaign whose pledges are all charged at its deadline is settled in that moment, and then
    it is too late.
    """
    require_phase(state, Phase.LIVE, Phase.SUCCEEDED)
    require_creator(state, command)
    if state.late_open:
        raise errors.WrongPhase("Late pledges are open already.")
    return [e.LatePledgesOpened(**head(state, command, at))]


def late_pledges_opened(state: Campaign, _: e.LatePledgesOpened) -> None:
    """Pledges are welcome again."""
    state.late_open = True


def close_late_pledges(state: Campaign, command: c.CloseLatePledges, at: int) -> list[e.Event]:
    """The creator takes no more."""
    require_creator(state, command)
    if not state.late_open:
        raise errors.WrongPhase("Late pledges are not open.")
    return [e.LatePledgesClosed(**head(state, command, at))]


def late_pledges_closed(state: Campaign, _: e.LatePledgesClosed) -> None:
    """No more; checkouts end with it, but for those of a campaign that is live."""
    state.late_open = False
    if state.phase is not Phase.LIVE:
        _drop_holds(state)


# --- News ----------------------------------------------------------------------------------------


def post_update(state: Campaign, command: c.PostUpdate, at: int) -> list[e.Event]:
    """News, in every phase after the launch."""
    require_phase(state, Phase.LIVE, *WON, Phase.FAILED, Phase.CANCELLED)
    require_creator(state, command)
    if not is_id(command.update_id) or not command.text or not is_text_hash(command.text):
        raise errors.ContentInvalid("An update has an id and the content hash of its text.")
    if command.update_id in state.updates:
        raise errors.Repeated(state.updates[command.update_id])
    facts = head(state, command, at)
    return [e.UpdatePosted(**facts, update_id=command.update_id, text=command.text)]


def update_posted(state: Campaign, event: e.UpdatePosted) -> None:
    """Remember its id."""
    state.updates[event.update_id] = event.version


def change_story(state: Campaign, command: c.ChangeStory, at: int) -> list[e.Event]:
    """Other words for what was promised, in sight of everybody; terms and rewards stay."""
    require_phase(state, Phase.LIVE, *WON)
    require_creator(state, command)
    if not command.text or not is_text_hash(command.text):
        raise errors.ContentInvalid("A story is given by the content hash of its texts.")
    return [e.StoryChanged(**head(state, command, at), text=command.text)]


def update_plan(state: Campaign, command: c.UpdatePlan, at: int) -> list[e.Event]:
    """What the creator does with less money than the goal."""
    require_phase(state, Phase.SUCCEEDED, Phase.SETTLED)
    require_creator(state, command)
    if not command.text or not is_text_hash(command.text):
        raise errors.ContentInvalid("A plan is given by the content hash of its text.")
    return [e.PlanUpdated(**head(state, command, at), text=command.text)]


def plan_updated(state: Campaign, _: e.PlanUpdated) -> None:
    """Payouts need not wait for it any more."""
    state.plan_updated = True


# --- What an end does to pledges -----------------------------------------------------------------


def _at_rest(state: Campaign) -> Iterator[int]:
    for index, pledge in enumerate(state.pledges):
        if pledge.status in AT_REST:
            yield index


def _to_release(state: Campaign) -> tuple[int, int]:
    amounts = [state.pledges[index].amount_minor for index in _at_rest(state)]
    return sum(amounts), len(amounts)


def _release_all(state: Campaign) -> None:
    for index in _at_rest(state):
        pledge = state.pledges[index]
        pledge.status = Status.RELEASED
        state.open_pledges -= 1
        return_stock(state, pledge)
    _drop_holds(state)


def _drop_holds(state: Campaign) -> None:
    for stock in state.stocks.values():
        stock.held = 0
    state.holds.clear()
    state.hold_of.clear()
