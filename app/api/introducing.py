"""What the API's description says in words: how to begin, the scopes, the areas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.stores.api_keys import Scope

INTRODUCTION: Final = """\
JSON over HTTP. Every call shows a key: `Authorization: Bearer trb_…`.

Amounts are whole numbers in the currency's **minor unit** (JPY 80000 is ¥80,000, CNY 80000 is
¥800.00). Times are milliseconds since 1970, UTC. Ids are random UUIDs in lower case. Bodies are
read strictly: an unknown field, a number in quotes or a fraction is refused.

A write is answered once it is durable and names its position in the log; give that to a read as
`at_least` and it waits, up to two seconds, until it can show it. Every `POST` may carry an
`Idempotency-Key`: repeated under it, a request is done once.

Lists come in pages; `next` is the address of the following one, or null. Reads carry an `ETag` and
answer `304` to an `If-None-Match` that still holds; edits name the version they mean in `If-Match`.
`HEAD` answers as `GET` does, without the body. No other site's page may call the API from a browser
(there are no CORS headers).

Refusals are `application/problem+json` (RFC 9457). `reason` names the rule, `type` is the address
of a page about it. Anything may fail with `500` (`failed`): that is a fault of ours, and noted."""

SCOPES: Final[Mapping[Scope, str]] = {
    "account": "make and end its owner's other keys, choose their mails",
    "backers:write": "mint backers",
    "campaigns:read": "read the desk of its owner's campaigns",
    "campaigns:write": "draft, submit and run campaigns; for staff, anybody's",
    "events:read": "read the log",
    "payouts:approve": "approve payouts, write debts off",
    "pledges:import": "pledge for any backer, one by one or in batches",
    "pledges:read": "read its owner's pledges and statements",
    "pledges:write": "pledge, withdraw, offer help, for its owner alone",
    "staff": "review, suspend, take down, verify accounts, resolve discrepancies, give roles",
}
"""What each scope lets a key do."""

AREAS: Final[Mapping[str, str]] = {
    "Campaigns": "What everybody may see: campaigns, their money, news, questions, their past.",
    "Channels": "Channels, creators and categories.",
    "Pledges": "Make pledges, one by one or in batches; backers and payment methods.",
    "Backers": "One's own pledges: what became of the money, line by line.",
    "Creators": "Drafts, submission, and the desk of a campaign.",
    "Commands": "Everything that can be done to a campaign, each at an address of its own.",
    "Staff": "The review queue, reports, disputes, discrepancies, roles, what staff did, health.",
    "Auditors": "The log itself, and the books.",
    "Account": "Who the key speaks for, its owner's keys and mails.",
    "Health": "Whether the server is alive.",
}
"""The areas of the API, in the order in which the page shows them."""
