"""How often something may be tried: by a mail address, and by the place on the network."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct

from app.stores.accounts import normal_mail
from app.web.site import PageRequest, Site

MINUTE_MS: Final = 60_000
IPV6_NETWORK_BITS: Final = 64
"""A household has so large a network to itself."""


class Gate(Struct, frozen=True):
    """What may be tried `by_subject` and `by_client` times in `window_ms`."""

    name: str
    window_ms: int
    by_subject: int
    by_client: int


SIGN_IN: Final = Gate("sign-in", 15 * MINUTE_MS, 10, 100)
SIGN_UP: Final = Gate("sign-up", 60 * MINUTE_MS, 5, 30)
RESET: Final = Gate("reset", 60 * MINUTE_MS, 5, 30)
STEP_UP: Final = Gate("step-up", 15 * MINUTE_MS, 10, 100)
PLEDGE: Final = Gate("pledge", 15 * MINUTE_MS, 20, 100)
"""Without a sign-in a pledge makes a person and writes to an address before anything is paid."""

CONFIRM: Final = Gate("confirm", 60 * MINUTE_MS, 10, 100)

_LETTERS: Final = Gate("letters", 60 * MINUTE_MS, 6, 0)
"""Mails that somebody who is not signed in can have sent to an address."""


async def passes(site: Site, gate: Gate, request: PageRequest, subject: str) -> bool:
    """Note an attempt, and tell whether it may be made. One too many counts as well."""
    attempts, at = site.platform.stores.attempts, site.platform.clock()
    limits = {
        f"{gate.name} of {normal_mail(subject)}": gate.by_subject,
        f"{gate.name} from {client_of(request)}": gate.by_client,
    }
    return await attempts.admit(limits, at=at, since=at - gate.window_ms, note_refused=True)


async def was_right(site: Site, gate: Gate, subject: str) -> None:
    """Forget the attempts of a subject that got it right in the end."""
    await site.platform.stores.attempts.forget(f"{gate.name} of {normal_mail(subject)}")


async def may_write_to(site: Site, mail: str) -> bool:
    """Note a mail to an address that anybody can have us write to; whether it may be sent."""
    attempts, at = site.platform.stores.attempts, site.platform.clock()
    limit = {f"{_LETTERS.name} to {normal_mail(mail)}": _LETTERS.by_subject}
    return await attempts.admit(limit, at=at, since=at - _LETTERS.window_ms)


def client_of(request: PageRequest) -> str:
    """The place on the network that a request comes from; of IPv6 the household's network."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> IPV6_NETWORK_BITS << IPV6_NETWORK_BITS))
    return str(address)
