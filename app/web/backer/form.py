"""The pledge form: what was typed, read against what the campaign offers.

The rules check everything again; this is so that people get an answer beside the field, and find
what they typed.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from app.stores.rows import new_id
from app.stores.shown_names import LONGEST as LONGEST_NAME
from app.web.accounts.addresses import is_mail
from app.web.backer.destinations import Place, countries, is_country, place_name
from app.web.language import gettext
from app.web.money import amount_wanted, money, parse_amount
from app.web.public.campaign_view import CampaignView, RewardView
from app.web.visitors import Form
from domain.events import Visibility
from domain.ids import is_id
from domain.money import is_amount
from domain.terms import ELSEWHERE, Choice
from projections.backer_ledger import PledgeLine
from projections.pledges import lines_of

MAX_PIECES: Final = 100
_ADD_ON: Final = "add_on_"
_PLACE: Final = re.compile(r"(?:[A-Z]{2}(?:-[A-Z0-9]{1,3})?)?").fullmatch
_SHOWN: Final[dict[str, Visibility]] = {"name": "name", "pen_name": "pen_name"}


class PledgeForm(Struct, frozen=True):
    """What was typed into the pledge form, kept as it is so that it can be shown again."""

    pledge_id: str
    reward: str = ""
    amount: str = ""
    destination: str = ""
    add_ons: dict[str, str] = {}
    mail: str = ""
    visibility: Visibility = "hidden"
    own_name: str = ""
    pen_name: str = ""

    @property
    def shown_as(self) -> str:
        """The name under which the pledge is shown; empty where it is hidden."""
        return {"name": self.own_name, "pen_name": self.pen_name}.get(self.visibility, "")


class Fault(Struct, frozen=True):
    """What is wrong with a form: the field, and the sentence beside it."""

    field: str
    said: str


class Chosen(Struct, frozen=True):
    """A form that can be carried out."""

    amount_minor: int
    choices: tuple[Choice, ...]
    destination: str
    limited: bool


def typed(form: Form) -> PledgeForm:
    """What was posted."""
    add_ons = {
        name.removeprefix(_ADD_ON): value
        for name, value in form.items()
        if name.startswith(_ADD_ON) and value.strip() not in ("", "0")
    }
    pledge_id = form.get("pledge_id", "")
    return PledgeForm(
        pledge_id=pledge_id if is_id(pledge_id) else new_id(),
        reward=form.get("reward", ""),
        amount=form.get("amount", "").strip(),
        destination=form.get("destination", "").strip().upper(),
        add_ons=add_ons,
        mail=form.get("mail", "").strip(),
        visibility=_SHOWN.get(form.get("visibility", ""), "hidden"),
        own_name=_name(form.get("own_name", "")),
        pen_name=_name(form.get("pen_name", "")),
    )


def _name(text: str) -> str:
    return " ".join(text.split())[:LONGEST_NAME]


def form_of(line: PledgeLine, offered: CampaignView, shown_as: str, amount: str) -> PledgeForm:
    """The form that would make this pledge, to be changed. `amount` is how it would be typed."""
    main, add_ons = "", {}
    mains = {reward.line.reward_id for reward in offered.rewards if not reward.line.add_on}
    for chosen in lines_of(line.lines):
        if chosen.reward_id in mains and not main:
            main = chosen.reward_id
        else:
            add_ons[chosen.reward_id] = str(chosen.quantity)
    visibility = _SHOWN.get(line.visibility, "hidden")
    return PledgeForm(
        pledge_id=line.pledge_id,
        reward=main,
        amount=amount,
        destination=line.destination,
        add_ons=add_ons,
        visibility=visibility,
        own_name=shown_as if visibility == "name" else "",
        pen_name=shown_as if visibility == "pen_name" else "",
    )


def faults_of_person(form: PledgeForm, *, asks_mail: bool) -> list[Fault]:
    """What is wrong with what people say of themselves."""
    found = []
    if asks_mail and not form.mail:
        found.append(Fault("mail", gettext("Write your mail address, so that you get the proof.")))
    elif asks_mail and not is_mail(form.mail):
        found.append(Fault("mail", gettext("This is not a mail address. Check it for mistakes.")))
    if form.visibility == "name" and not form.own_name:
        found.append(Fault("own-name", gettext("Write the name that the list should show.")))
    if form.visibility == "pen_name" and not form.pen_name:
        found.append(Fault("pen-name", gettext("Write the pen name that the list should show.")))
    return found


def choose(view: CampaignView, form: PledgeForm, own: tuple[Choice, ...] = ()) -> Chosen | Fault:
    """Read a form against what the campaign offers.

    Without an amount the chosen rewards are paid exactly, with their shipping. `own` are the pieces
    that this backer has already: they count as free.
    """
    offered = {reward.line.reward_id: reward for reward in view.rewards}
    mine = {choice.reward_id: choice.quantity for choice in own}
    choices = [Choice(form.reward, mine.get(form.reward, 1) or 1)] if form.reward else []
    for reward_id, pieces_typed in form.add_ons.items():
        pieces = _pieces(pieces_typed)
        if pieces is None:
            return Fault(
                f"add-on-{reward_id}", gettext("Write how many pieces you want, up to 100.")
            )
        choices.append(Choice(reward_id, pieces))
    if not _PLACE(form.destination) or not _is_place(form.destination):
        return Fault("destination", gettext("Choose a country from the list."))
    if choices and not form.reward:
        return Fault("reward", gettext("An add-on needs a reward beside it."))
    cost_minor, limited = 0, False
    for choice in choices:
        reward = offered.get(choice.reward_id)
        if reward is None or reward.line.add_on is (choice.reward_id == form.reward):
            return Fault(
                "reward", gettext("This reward is not offered any more. Choose another one.")
            )
        if reward.left is not None and choice.quantity > reward.left + mine.get(
            choice.reward_id, 0
        ):
            return Fault("reward", _sold_out(reward))
        limited = limited or reward.left is not None
        shipping_minor = _shipping(reward, form.destination)
        if isinstance(shipping_minor, Fault):
            return shipping_minor
        cost_minor += choice.quantity * (reward.line.price_minor + shipping_minor)
    currency = view.page.currency
    typed_minor = parse_amount(form.amount, currency) if form.amount else cost_minor
    if typed_minor is None or not is_amount(typed_minor):
        nothing = gettext("Choose a reward or write an amount.")
        return Fault("amount", amount_wanted(currency) if form.amount else nothing)
    if typed_minor < cost_minor:
        sentence = gettext(
            "What you chose comes to %(cost)s with shipping. Write at least that, or leave the "
            "amount empty."
        )
        return Fault("amount", sentence % {"cost": money(cost_minor, currency)})
    return Chosen(typed_minor, tuple(choices), form.destination, limited)


def _pieces(text: str) -> int | None:
    number = int(text) if text.isdecimal() and len(text) <= len(str(MAX_PIECES)) else 0
    return number if 1 <= number <= MAX_PIECES else None


def _is_place(code: str) -> bool:
    return not code or is_country(code.partition("-")[0])


def _sold_out(reward: RewardView) -> str:
    if reward.left:
        sentence = gettext("Only %(n)s of “%(reward)s” are left. Choose less or something else.")
        return sentence % {"n": reward.left, "reward": reward.title}
    return gettext("What you chose has just sold out. Choose something else.")


def _shipping(reward: RewardView, destination: str) -> int | Fault:
    """What sending one piece costs, or what is wrong with where it should go."""
    if not reward.line.shipping:
        return 0
    if not destination:
        return Fault("destination", gettext("Say where it should be sent."))
    fee_minor = reward.shipping_minor(destination)
    if fee_minor is None:
        sentence = gettext("“%(reward)s” is not sent there.")
        return Fault("destination", sentence % {"reward": reward.title})
    return fee_minor


class Places(Struct, frozen=True):
    """The destinations of a form: those with a price of their own, and all others."""

    named: tuple[Place, ...]
    others: tuple[Place, ...]


def places_of(view: CampaignView) -> Places:
    """Where this campaign's rewards can be sent."""
    regions = {fee.region for reward in view.rewards for fee in reward.line.shipping}
    named = tuple(Place(code, place_name(code)) for code in sorted(regions - {ELSEWHERE}))
    if ELSEWHERE not in regions:
        return Places(named, ())
    return Places(named, tuple(place for place in countries() if place.code not in regions))
