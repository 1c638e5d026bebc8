"""Small questions that several phases ask before they decide."""

from __future__ import annotations

from typing import Any

from domain import errors
from domain.commands import Command
from domain.ids import is_code, is_reference, party_of, role_of
from domain.money import MAX_AMOUNT_MINOR
from domain.state import Campaign, Phase, Pledge


def head(state: Campaign, command: Command, at: int, offset: int = 0) -> dict[str, Any]:
    """The common fields of the `offset`-th fact that a command causes."""
    return {
        "stream": state.stream,
        "version": state.version + 1 + offset,
        "at": at,
        "by": command.by,
        "command_id": command.command_id,
        "channel": state.channel,
    }


def require_role(command: Command, *roles: str) -> None:
    """Raise NotAllowed unless the actor has one of the roles."""
    if role_of(command.by) not in roles:
        raise errors.NotAllowed(f"This is for {' or '.join(roles)} to do.")


def require_creator(state: Campaign, command: Command) -> None:
    """Raise NotAllowed unless the actor is of the creator's side, or staff acting for it."""
    if role_of(command.by) != "staff" and not state.is_by_team(command.by):
        raise errors.NotAllowed("This is for the campaign's creator and team to do.")


def require_backer(command: Command, backer: str) -> None:
    """Raise NotYourPledge where a backer acts on what is another's."""
    if role_of(command.by) == "backer" and party_of(command.by) != backer:
        raise errors.NotYourPledge


def require_phase(state: Campaign, *phases: Phase) -> None:
    """Raise CampaignUnknown or WrongPhase unless the campaign stands in one of the phases."""
    if state.phase is Phase.NONE:
        raise errors.CampaignUnknown
    if state.phase not in phases:
        raise errors.WrongPhase(f"The campaign is {state.phase}; this needs {_listed(phases)}.")


def _listed(phases: tuple[Phase, ...]) -> str:
    return " or ".join(phases)


def require_running(state: Campaign) -> None:
    """Raise CampaignSuspended while the campaign is suspended."""
    if state.suspended:
        raise errors.CampaignSuspended


def require_report(
    provider: str, reference: str, amount_minor: int, provider_fee_minor: int = 0
) -> None:
    """Raise ContentInvalid where a provider's report is not one: nothing of it could be booked.

    That is for whoever reads the provider to mend; a report that only fits no state is never
    refused (rule 13).
    """
    if not is_code(provider) or not is_reference(reference):
        raise errors.ContentInvalid("A report names the provider and its reference.")
    for minor in (amount_minor, provider_fee_minor):
        if type(minor) is not int or not 0 <= minor <= MAX_AMOUNT_MINOR:
            raise errors.ContentInvalid("A report's amounts lie between 0 and 10^12 minor units.")


def pledge_numbered(state: Campaign, no: int) -> Pledge:
    """The pledge with this number, or PledgeUnknown."""
    pledge = state.pledge(no)
    if pledge is None:
        raise errors.PledgeUnknown(f"The campaign has no pledge number {no}.")
    return pledge


def pledge_with_id(state: Campaign, pledge_id: str) -> Pledge:
    """The pledge with this id, or PledgeUnknown."""
    no = state.no_by_id.get(pledge_id)
    if no is None:
        raise errors.PledgeUnknown
    return state.pledges[no - 1]
