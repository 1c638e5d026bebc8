"""Reports from outside that fit no state (rule 13): recorded, never refused."""

from __future__ import annotations

from domain import commands as c
from domain import errors
from domain import events as e
from domain.rules import head, require_role
from domain.state import Campaign, Discrepancy


def record(  # noqa: PLR0913 - the facts of one report, by name
    state: Campaign,
    command: c.Command,
    at: int,
    *,
    kind: e.DiscrepancyKind,
    provider: str,
    reference: str,
    amount_minor: int,
    fee_minor: int = 0,
    no: int = 0,
) -> list[e.Event]:
    """Record a report that fits nothing, once per kind, provider and reference.

    `amount_minor` came in (+) or went out (-) and waits in suspense, whole; the provider kept
    `fee_minor` on it. `no` names the pledge where the campaign has one with this number.
    """
    if reference_key(kind, provider, reference) in state.references:
        return []
    if command.command_id in state.discrepancies:
        raise errors.IdReused("Another report came with this command id.")
    return [
        e.DiscrepancyRecorded(
            **head(state, command, at),
            discrepancy_id=command.command_id,
            kind=kind,
            no=no if state.pledge(no) is not None else 0,
            provider=provider,
            reference=reference,
            amount_minor=amount_minor,
            fee_minor=fee_minor,
            currency=state.bound.currency,
        )
    ]


def reference_key(kind: str, provider: str, reference: str) -> str:
    """Under what a report is remembered, so that its repetition is not a second one."""
    return f"{kind} {provider} {reference}"


def recorded(state: Campaign, event: e.DiscrepancyRecorded) -> None:
    """Payouts are frozen until staff resolve it."""
    state.references[reference_key(event.kind, event.provider, event.reference)] = event.version
    state.discrepancies[event.discrepancy_id] = Discrepancy(
        event.kind, event.provider, event.reference, event.amount_minor
    )


def resolve(state: Campaign, command: c.ResolveDiscrepancy, at: int) -> list[e.Event]:
    """Staff settle it.

    Money that came in goes back to whom it came from; it is never kept. Money that went out
    comes back, or is written off by the platform. A report without money is noted.
    """
    require_role(command, "staff", "treasurer")
    if state.is_by_team(command.by):
        raise errors.NotAllowed("The creator's team does not settle its own discrepancies.")
    found = state.discrepancies.get(command.discrepancy_id)
    if found is None or not found.open:
        raise errors.DiscrepancyUnknown
    match command.resolution:
        case "returned":
            fits = found.amount_minor != 0
        case "written_off":
            fits = found.amount_minor < 0
        case "noted":
            fits = found.amount_minor == 0
    if not fits:
        raise errors.ResolutionInvalid
    return [
        e.DiscrepancyResolved(
            **head(state, command, at),
            discrepancy_id=command.discrepancy_id,
            resolution=command.resolution,
            provider=found.provider,
            amount_minor=found.amount_minor,
            currency=state.bound.currency,
        )
    ]


def resolved(state: Campaign, event: e.DiscrepancyResolved) -> None:
    """One report less in the way of payouts."""
    state.discrepancies[event.discrepancy_id].open = False
