"""What a campaign offers and asks for besides money: rewards, needs, deliveries."""

from __future__ import annotations

from domain import commands as c
from domain import errors
from domain import events as e
from domain.ids import is_id, party_of
from domain.lifecycle import reward_faults
from domain.rules import (
    head,
    pledge_numbered,
    pledge_with_id,
    require_backer,
    require_creator,
    require_phase,
    require_role,
)
from domain.state import WON, Campaign, Offer, Phase, Status, Stock
from domain.terms import MAX_PIECES, Reward

_MAX_MARKED = 10_000


# --- Rewards -------------------------------------------------------------------------------------


def add(state: Campaign, command: c.AddReward, at: int) -> list[e.Event]:
    """Offer one more reward while the campaign is approved or live."""
    require_phase(state, Phase.APPROVED, Phase.LIVE, Phase.SUCCEEDED)
    require_creator(state, command)
    _require_fit(command.reward)
    if command.reward.reward_id in state.stocks:
        raise errors.IdReused("The campaign has a reward with this id.")
    return [e.RewardAdded(**head(state, command, at), reward=command.reward)]


def added(state: Campaign, event: e.RewardAdded) -> None:
    """It can be chosen."""
    state.stocks[event.reward.reward_id] = Stock(event.reward)


def change(state: Campaign, command: c.ChangeReward, at: int) -> list[e.Event]:
    """Replace a reward that nobody has chosen."""
    require_phase(state, Phase.APPROVED, Phase.LIVE, Phase.SUCCEEDED)
    require_creator(state, command)
    _require_fit(command.reward)
    stock = _stock(state, command.reward.reward_id)
    if stock.claimed or stock.held:
        raise errors.RewardPromised
    return [e.RewardChanged(**head(state, command, at), reward=command.reward)]


def changed(state: Campaign, event: e.RewardChanged) -> None:
    """A new promise that nobody relied on."""
    state.stocks[event.reward.reward_id].reward = event.reward


def change_stock(state: Campaign, command: c.ChangeRewardStock, at: int) -> list[e.Event]:
    """Another limit, never below what is claimed and held."""
    require_phase(state, Phase.APPROVED, Phase.LIVE, Phase.SUCCEEDED)
    require_creator(state, command)
    stock = _stock(state, command.reward_id)
    taken = stock.claimed + stock.held
    if command.limit is not None and command.limit < max(1, taken):
        raise errors.StockBelowClaimed(f"{taken} are claimed or held.")
    if command.limit is not None and command.limit > MAX_PIECES:
        raise errors.ContentInvalid("A reward's limit is at most 10^9; without one it has none.")
    facts = head(state, command, at)
    return [e.RewardStockChanged(**facts, reward_id=command.reward_id, limit=command.limit)]


def stock_changed(state: Campaign, event: e.RewardStockChanged) -> None:
    """The promise stays, the number of pieces is another."""
    stock = state.stocks[event.reward_id]
    was = stock.reward
    stock.reward = Reward(
        reward_id=was.reward_id,
        price_minor=was.price_minor,
        limit=event.limit,
        delivery_at=was.delivery_at,
        shipping=was.shipping,
        add_on=was.add_on,
        text=was.text,
    )


def _require_fit(reward: Reward) -> None:
    if faults := reward_faults(reward):
        raise errors.ContentInvalid(f"Not fit to offer: {'; '.join(faults)}.")


def _stock(state: Campaign, reward_id: str) -> Stock:
    if reward_id not in state.stocks:
        raise errors.RewardUnknown
    return state.stocks[reward_id]


# --- Needs ---------------------------------------------------------------------------------------


def offer_need(state: Campaign, command: c.OfferNeed, at: int) -> list[e.Event]:
    """Anybody but the creator's side may offer help."""
    require_phase(state, Phase.LIVE, Phase.SUCCEEDED)
    require_role(command, "backer")
    need = next((n for n in state.bound.needs if n.need_id == command.need_id), None)
    if need is None:
        raise errors.NeedUnknown
    if known := state.offers.get(command.offer_id):
        offered = (party_of(command.by), command.need_id, command.quantity)
        if (known.party, known.need_id, known.quantity) != offered:
            raise errors.IdReused
        raise errors.Repeated(known.version)
    if state.is_by_team(command.by):
        raise errors.OwnCampaign
    if not is_id(command.offer_id) or not 1 <= command.quantity <= MAX_PIECES:
        raise errors.ContentInvalid("An offer has an id and a quantity of 1 to 10^9.")
    return [
        e.NeedOffered(
            **head(state, command, at),
            offer_id=command.offer_id,
            need_id=command.need_id,
            party=party_of(command.by),
            quantity=command.quantity,
        )
    ]


def need_offered(state: Campaign, event: e.NeedOffered) -> None:
    """The creator is to decide."""
    state.offers[event.offer_id] = Offer(event.need_id, event.party, event.quantity, event.version)


def accept_need(state: Campaign, command: c.AcceptNeed, at: int) -> list[e.Event]:
    """The creator accepts."""
    _require_offer(state, command, command.offer_id, "offered")
    return [e.NeedAccepted(**head(state, command, at), offer_id=command.offer_id)]


def need_accepted(state: Campaign, event: e.NeedAccepted) -> None:
    """Expected."""
    state.offers[event.offer_id].state = "accepted"


def decline_need(state: Campaign, command: c.DeclineNeed, at: int) -> list[e.Event]:
    """The creator declines."""
    _require_offer(state, command, command.offer_id, "offered")
    return [e.NeedDeclined(**head(state, command, at), offer_id=command.offer_id)]


def need_declined(state: Campaign, event: e.NeedDeclined) -> None:
    """Not needed after all."""
    state.offers[event.offer_id].state = "declined"


def receive_need(state: Campaign, command: c.ReceiveNeed, at: int) -> list[e.Event]:
    """The creator says that it arrived."""
    _require_offer(state, command, command.offer_id, "accepted")
    return [e.NeedReceived(**head(state, command, at), offer_id=command.offer_id)]


def need_received(state: Campaign, event: e.NeedReceived) -> None:
    """Arrived."""
    state.offers[event.offer_id].state = "received"


def _require_offer(state: Campaign, command: c.Command, offer_id: str, wanted: str) -> None:
    require_phase(state, Phase.LIVE, *WON)
    require_creator(state, command)
    offer = state.offers.get(offer_id)
    if offer is None:
        raise errors.NeedUnknown
    if offer.state != wanted:
        raise errors.OfferDecided(f"The offer is {offer.state}.")


# --- Deliveries ----------------------------------------------------------------------------------


def mark_delivered(state: Campaign, command: c.MarkDelivered, at: int) -> list[e.Event]:
    """The creator says which rewards were sent; those said before are passed over."""
    require_phase(state, *WON)
    require_creator(state, command)
    if not 1 <= len(command.nos) <= _MAX_MARKED or len(set(command.nos)) != len(command.nos):
        raise errors.ContentInvalid(f"Mark 1 to {_MAX_MARKED} different pledges at a time.")
    fresh = []
    for no in command.nos:
        pledge = pledge_numbered(state, no)
        if pledge.status is not Status.COLLECTED:
            raise errors.NotCollected(f"Pledge {no} is {pledge.status}.")
        if not pledge.sent:
            fresh.append(no)
    return [e.DeliveryMarked(**head(state, command, at), nos=tuple(fresh))] if fresh else []


def delivery_marked(state: Campaign, event: e.DeliveryMarked) -> None:
    """Sent, says the creator."""
    for no in event.nos:
        state.pledges[no - 1].sent = True


def confirm_received(state: Campaign, command: c.ConfirmReceived, at: int) -> list[e.Event]:
    """The backer says that it arrived."""
    pledge = pledge_with_id(state, command.pledge_id)
    require_role(command, "backer")
    require_backer(command, pledge.backer)
    if pledge.status is not Status.COLLECTED:
        raise errors.NotCollected
    if pledge.received:
        return []
    return [e.DeliveryReceived(**head(state, command, at), no=pledge.no)]


def delivery_received(state: Campaign, event: e.DeliveryReceived) -> None:
    """Received, says the backer; where the creator said sent, that confirms a delivery."""
    pledge = state.pledges[event.no - 1]
    pledge.received = True
    state.any_received = state.any_received or pledge.sent
