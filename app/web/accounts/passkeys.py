"""Passkeys: registered by who is signed in, then shown to sign in or to prove it anew.

Every exchange has two halves: the browser asks what to sign (`…/options`), and sends what its
device signed. Both are posted by `js/passkeys.js` with the form's token; the answers are JSON.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.stores.passkeys import Aim, Passkey, PasskeyTakenError
from app.web.accounts.addresses import local_path
from app.web.accounts.entering import account_of, browser_of, enter
from app.web.accounts.letters import send
from app.web.accounts.limits import SIGN_IN, STEP_UP, passes
from app.web.accounts.sign_up import prove_address
from app.web.language import gettext
from app.web.site import PageRequest, Site
from app.web.visitors import Form, Visitor

MOST_PASSKEYS: Final = 20
LONGEST_NAME: Final = 60
_LONGEST_ANSWER: Final = 20_000
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Place(Struct, frozen=True):
    """For whom passkeys are made: the site's name (WebAuthn's "RP id") and the pages' origin."""

    name: str
    origin: str


def place_of(request: PageRequest, public_url: str) -> Place | None:
    """The place that a browser sees; None where passkeys cannot be: at an address of figures.

    Somebody who tries the site on their own machine may call it `localhost`.
    """
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    asked = request.headers.get("host", "")
    if host in _LOOPBACK and asked.partition(":")[0] == "localhost":
        return Place("localhost", f"{parts.scheme}://{asked}")
    if not host or ":" in host or host.replace(".", "").isdecimal():
        return None
    return Place(host, f"{parts.scheme}://{parts.netloc}")


# --- Registering ---------------------------------------------------------------------------------


@post("/account/security/passkeys/options", include_in_schema=False)
async def registration_options(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What a new passkey has to sign."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    await site.form(request, visitor)
    place = place_of(request, site.platform.settings.public_url)
    if place is None:
        return _refused(gettext("Passkeys cannot be used at this address."))
    account = await account_of(site, visitor)
    known = await site.platform.stores.passkeys.of_party(visitor.party)
    if len(known) >= MOST_PASSKEYS:
        return _refused(gettext("You have as many passkeys as an account can hold."))
    party = await site.platform.stores.people.get(visitor.party)
    options = generate_registration_options(
        rp_id=place.name,
        rp_name="Tributary",
        user_id=visitor.party.encode(),
        user_name=account.mail,
        user_display_name=party.display_name or account.mail,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=k.credential_id) for k in known],
    )
    return await _asked(site, visitor, "register", options.challenge, options)


@post("/account/security/passkeys", include_in_schema=False)
async def register(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Keep a new passkey."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    form = await site.form(request, visitor)
    account = await account_of(site, visitor)
    stores, at = site.platform.stores, site.platform.clock()
    challenge = await stores.passkeys.answer(visitor.token, "register", at=at)
    place = place_of(request, site.platform.settings.public_url)
    if challenge is None or place is None:
        return _refused(_too_late())
    try:
        verified = verify_registration_response(
            credential=_credential(form),
            expected_challenge=challenge,
            expected_rp_id=place.name,
            expected_origin=place.origin,
            require_user_verification=True,
        )
        passkey = Passkey(
            credential_id=verified.credential_id,
            party=visitor.party,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            name=form.get("name", "").strip()[:LONGEST_NAME] or browser_of(request),
            created_at=at,
        )
        await stores.passkeys.add(passkey)
    except PasskeyTakenError:
        return _refused(gettext("This passkey is registered already."))
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return _refused(gettext("This passkey could not be read. Try again, or use another one."))
    await send(
        site,
        "passkey_added",
        to=account.mail,
        language=account.language,
        party=account.party,
        passkey=passkey.name,
        url=f"{site.platform.settings.public_url}/account/security",
    )
    return _go_on("/account/security?done=passkey")


@post("/account/security/passkeys/{passkey_id:str}/remove", include_in_schema=False)
async def remove(
    passkey_id: FromPath[str], request: PageRequest, site: NamedDependency[Site]
) -> Response[Any]:
    """Remove a passkey; one that is gone stays so."""
    visitor = await site.signed_in(request)
    site.require_step_up(visitor)
    await site.form(request, visitor)
    try:
        credential_id = bytes.fromhex(passkey_id)
    except ValueError:
        credential_id = b""
    await site.platform.stores.passkeys.remove(visitor.party, credential_id)
    return site.redirect("/account/security?done=removed")


# --- Showing one ---------------------------------------------------------------------------------


@post("/sign-in/passkey/options", include_in_schema=False)
async def sign_in_options(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What a passkey has to sign; the device knows which accounts it has here."""
    visitor = await site.visitor(request)
    await site.form(request, visitor)
    return await _ask_for_proof(request, site, visitor, "sign_in")


@post("/sign-in/passkey", include_in_schema=False)
async def sign_in_with_passkey(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Sign in as the account whose passkey was shown."""
    visitor = await site.visitor(request)
    form = await site.form(request, visitor)
    if not await passes(site, SIGN_IN, request, f"passkey in {visitor.token}"):
        return _refused(_closed(), 429)
    passkey = await _proved(request, site, visitor, form, "sign_in")
    account = await site.platform.stores.accounts.get(passkey.party) if passkey else None
    if account is None:
        return _refused(_not_proved())
    await prove_address(site, account)
    fresh = await enter(site, request, visitor, account)
    answer = _go_on(local_path(form.get("next", ""), "/account"))
    answer.set_cookie(site.visitors.cookie(fresh))
    return answer


@post("/step-up/passkey/options", include_in_schema=False)
async def step_up_options(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """What one of this account's passkeys has to sign."""
    visitor = await site.signed_in(request)
    await site.form(request, visitor)
    known = await site.platform.stores.passkeys.of_party(visitor.party)
    return await _ask_for_proof(request, site, visitor, "step_up", known)


@post("/step-up/passkey", include_in_schema=False)
async def step_up_with_passkey(request: PageRequest, site: NamedDependency[Site]) -> Response[Any]:
    """Prove anew who one is."""
    visitor = await site.signed_in(request)
    form = await site.form(request, visitor)
    if not await passes(site, STEP_UP, request, visitor.party):
        return _refused(_closed(), 429)
    passkey = await _proved(request, site, visitor, form, "step_up")
    if passkey is None or passkey.party != visitor.party:
        return _refused(_not_proved())
    await site.visitors.step_up(visitor)
    return _go_on(local_path(form.get("next", ""), "/account"))


async def _ask_for_proof(
    request: PageRequest, site: Site, visitor: Visitor, aim: Aim, known: list[Passkey] | None = None
) -> Response[Any]:
    place = place_of(request, site.platform.settings.public_url)
    if place is None:
        return _refused(gettext("Passkeys cannot be used at this address."))
    options = generate_authentication_options(
        rp_id=place.name,
        allow_credentials=[PublicKeyCredentialDescriptor(id=k.credential_id) for k in known or ()],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return await _asked(site, visitor, aim, options.challenge, options)


async def _proved(
    request: PageRequest, site: Site, visitor: Visitor, form: Form, aim: Aim
) -> Passkey | None:
    """The passkey that signed what this browser was asked for; None where nothing did."""
    passkeys, at = site.platform.stores.passkeys, site.platform.clock()
    challenge = await passkeys.answer(visitor.token, aim, at=at)
    place = place_of(request, site.platform.settings.public_url)
    if challenge is None or place is None:
        return None
    try:
        credential = _credential(form)
        passkey = await passkeys.find(base64url_to_bytes(str(credential["id"])))
        if passkey is None:
            return None
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=place.name,
            expected_origin=place.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return None
    await passkeys.used(passkey, sign_count=verified.new_sign_count, at=at)
    return passkey


# --- Answers -------------------------------------------------------------------------------------


async def _asked(
    site: Site,
    visitor: Visitor,
    aim: Aim,
    challenge: bytes,
    options: Any,  # noqa: ANN401 - the library's structures for the two halves have no common type
) -> Response[Any]:
    await site.platform.stores.passkeys.challenge(
        visitor.token, aim, challenge, at=site.platform.clock()
    )
    return _json(json.loads(options_to_json(options)))


def _credential(form: Form) -> dict[str, Any]:
    """What the device signed. Raises ValueError and TypeError."""
    text = form.get("credential", "")
    given = json.loads(text) if len(text) <= _LONGEST_ANSWER else None
    if not isinstance(given, dict):
        raise TypeError("a credential is an object")
    return given


def _go_on(path: str) -> Response[Any]:
    return _json({"next": path})


def _refused(said: str, status_code: int = 422) -> Response[Any]:
    return _json({"said": said}, status_code)


def _json(value: object, status_code: int = 200) -> Response[Any]:
    return Response(value, status_code=status_code, headers={"cache-control": "no-store"})


def _too_late() -> str:
    return gettext("That took too long. Try again.")


def _not_proved() -> str:
    return gettext("This passkey could not be checked. Try again, or sign in another way.")


def _closed() -> str:
    return gettext("Too many attempts. Wait a quarter of an hour and try again.")
