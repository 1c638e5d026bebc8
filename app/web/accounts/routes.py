"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.accounts.data_pages import delete_data, download, show_data
from app.web.accounts.joining import ask_to_join, show_join, take_join
from app.web.accounts.key_pages import revoke_key, show_keys, take_key
from app.web.accounts.passkeys import (
    register,
    registration_options,
    remove,
    sign_in_options,
    sign_in_with_passkey,
    step_up_options,
    step_up_with_passkey,
)
from app.web.accounts.profile import move, show_account, show_address, take_account, take_address
from app.web.accounts.security_pages import end_session, show_security, take_password
from app.web.accounts.sign_in import (
    show_ask_link,
    show_ask_reset,
    show_link,
    show_reset,
    show_sign_in,
    sign_out,
    take_ask_link,
    take_ask_reset,
    take_link,
    take_reset,
    take_sign_in,
)
from app.web.accounts.sign_up import show_confirm, show_sign_up, take_confirm, take_sign_up
from app.web.accounts.step_up import show_step_up, take_step_up, take_step_up_link

HANDLERS: Final = (
    show_sign_up,
    take_sign_up,
    show_confirm,
    take_confirm,
    show_sign_in,
    take_sign_in,
    show_ask_link,
    take_ask_link,
    show_link,
    take_link,
    show_ask_reset,
    take_ask_reset,
    show_reset,
    take_reset,
    sign_out,
    sign_in_options,
    sign_in_with_passkey,
    show_step_up,
    take_step_up,
    take_step_up_link,
    step_up_options,
    step_up_with_passkey,
    show_account,
    take_account,
    take_address,
    show_address,
    move,
    show_security,
    take_password,
    end_session,
    registration_options,
    register,
    remove,
    show_keys,
    take_key,
    revoke_key,
    show_data,
    download,
    delete_data,
    ask_to_join,
    show_join,
    take_join,
)
