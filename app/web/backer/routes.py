"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.backer.changing import (
    change_card,
    confirm_received,
    show_edit,
    show_fix_here,
    show_withdraw,
    take_edit,
    withdraw,
)
from app.web.backer.checkout import come_back, give_up, pay
from app.web.backer.confirming import show_confirm, take_confirm
from app.web.backer.fixing import fix_cancel, fix_card, fix_return, show_fix
from app.web.backer.ledger import show_ledger, statement_as_pdf, statement_csv
from app.web.backer.names import show_names
from app.web.backer.pledge_page import find_pledge, show_pledge
from app.web.backer.pledging import show_form, take_form
from app.web.backer.receipts import (
    receipt_code,
    receipt_file,
    show_check,
    show_receipt,
    show_receipts,
)

HANDLERS: Final = (
    show_form,
    take_form,
    come_back,
    pay,
    give_up,
    show_confirm,
    take_confirm,
    show_ledger,
    statement_csv,
    statement_as_pdf,
    find_pledge,
    show_pledge,
    show_receipts,
    show_receipt,
    receipt_file,
    receipt_code,
    show_check,
    show_edit,
    take_edit,
    show_withdraw,
    withdraw,
    change_card,
    show_fix_here,
    confirm_received,
    show_fix,
    fix_card,
    fix_return,
    fix_cancel,
    show_names,
)
