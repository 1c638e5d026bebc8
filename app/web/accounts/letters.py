"""The mails about accounts, and the links in them."""

from __future__ import annotations

from typing import Any, Final

from app.stores.mail_tokens import MailToken, Purpose
from app.stores.rows import new_id
from app.web.accounts.limits import may_write_to
from app.web.language import gettext, speaking, translatable
from app.web.site import Site

PATHS: Final[dict[Purpose, str]] = {
    "confirm": "/confirm/",
    "sign_in": "/sign-in/link/",
    "reset": "/password-reset/",
    "change_mail": "/account/address/",
    "join": "/join/",
}
"""Where the links of each purpose lead; the token follows."""

BUTTONS: Final = {
    "confirm": translatable("Confirm this address"),
    "have_account": translatable("Sign in"),
    "sign_in": translatable("Sign in"),
    "reset": translatable("Choose a new password"),
    "password_changed": translatable("Choose a new password"),
    "confirm_address": translatable("Confirm this address"),
    "passkey_added": translatable("Look at your passkeys"),
    "pledge_account": translatable("Confirm this address"),
    "join": translatable("Add the pledge"),
}
"""What stands on the button of each mail that has one."""


async def send(
    site: Site,
    name: str,
    *,
    to: str,
    language: str,
    party: str = "",
    **context: Any,  # noqa: ANN401 - whatever the template says
) -> None:
    """Have a mail sent: `templates/mail/accounts_<name>.txt`, in this language."""
    if name in BUTTONS:
        with speaking(language):
            context["button"] = gettext(BUTTONS[name])
    await site.platform.mail.post(
        name=f"accounts_{name}",
        to=to,
        language=language,
        party=party,
        dedupe_key=f"accounts {name} {new_id()}",
        **context,
    )


async def send_link(
    site: Site, name: str, token: MailToken, *, language: str, unasked: bool = True
) -> None:
    """Send a mail with a link that the token is good for.

    `unasked`: nobody proved that the address is theirs. Then it gets only so many in an hour.
    """
    if unasked and not await may_write_to(site, token.mail):
        return
    secret = await site.platform.stores.mail_tokens.issue(token, at=site.platform.clock())
    await send(
        site,
        name,
        to=token.mail,
        language=language,
        party=token.party,
        url=site.platform.settings.public_url + PATHS[token.purpose] + secret,
    )
