"""`tributary receipt …`: what a backer types to check a receipt, with the log's public key alone.

Nothing of this site is asked: no server, no database, no setting. The key comes from an option,
never from the receipt. Exit code 0: it proves what it says; 1: it does not; 2: the question could
not be answered (no such file, no key, not a receipt).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import click
import msgspec

from app.transparency.note import ED25519, NoteError, VerifierKey
from app.transparency.proof import LONGEST_FILE
from app.transparency.public_part import PublicPart
from app.transparency.receipt_check import (
    TOLD_KINDS,
    Facts,
    Point,
    Verdict,
    check_receipt,
    read_receipt,
)
from domain.money import EXPONENTS, format_minor

REFUSED: Final = 1
CANNOT: Final = 2
WAIT_S: Final = 10.0
LONGEST_KEY: Final = 4_096

_POINTS: Final = {
    "form": "a whole receipt",
    "signature": "signed by the log",
    "witnesses": "witnessed",
    "entry": "in the log",
    "event": "says the same twice",
}

_REASONS: Final = {
    "": "yes",
    "not_a_receipt": "this is not a receipt: it does not begin with c2sp.org/tlog-proof@v1",
    "damaged": "part of it is missing or was changed, so that it cannot be read as a receipt",
    "not_read": "not looked at, as what comes before it does not hold",
    "other_log": "the receipt is of another log than the key",
    "signature_wrong": "the signature is wrong: it or what is signed was changed",
    "not_signed": "the log's key has not signed this checkpoint",
    "none_named": "no witness was named to be looked for",
    "witness_wrong": "the signature of a witness is wrong",
    "too_few_witnesses": "fewer of the named witnesses signed than are needed",
    "contents": "what opens the entry is missing or damaged",
    "not_included": "what stands here is not the entry of the log: one or the other was changed",
    "public_unreadable": "the entry's public part cannot be read",
    "closed": "the whole fact is not in this receipt; its public part is",
    "event_unreadable": "the fact in the entry cannot be read",
    "event_unknown": "the fact is of a kind that this version does not know",
    "differs_campaign": "the fact and its public part name different campaigns",
    "differs_currency": "the fact and its public part name different currencies",
    "differs_day": "the fact and its public part name different days",
    "differs_changes": "the fact and its public part tell of different amounts",
}

_PROVED: Final = {
    "pledged": "Your pledge of {amount}",
    "revised": "The change of your pledge by {amount}",
    "unchanged": "The change of your pledge, which left its amount as it was,",
    "withdrawn": "The end of your pledge of {amount}",
    "released": "The end of {pledges} pledges of {amount} together",
    "collected": "The charge of {amount} for your pledge",
    "returned": "The return of {amount} of your pledge",
}

_key = click.option("--key", metavar="VKEY", help="The log's public key, as it is printed.")
_key_file = click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False), help="A file that holds the key."
)
_key_url = click.option("--key-url", metavar="URL", help="Where to fetch the key: …/log/key.")
_witness = click.option("--witness", "witnesses", metavar="VKEY", multiple=True)
_quorum = click.option(
    "--quorum", type=click.IntRange(min=1), help="So many of the witnesses (default: all named)."
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


class Options(Protocol):
    """What the global options say; `ctx.obj`."""

    @property
    def json(self) -> bool:
        """Whether to answer one object for machines."""


class CannotCheckError(click.ClickException):
    """The question could not be answered; a sentence says why."""

    exit_code = CANNOT


@click.group()
def receipt() -> None:
    """Check the receipts that backers keep, with nothing but the log's public key."""


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_key
@_key_file
@_key_url
@_witness
@_quorum
@_json
@click.pass_obj
def check(
    options: Options,
    file: Path,
    key: str | None,
    key_file: Path | None,
    key_url: str | None,
    witnesses: tuple[str, ...],
    quorum: int | None,
    *,
    as_json: bool,
) -> None:
    """Check the receipt in FILE (`-`: standard input) against the log's public key."""
    log_key = _parsed(_key_text(key, key_file, key_url))
    if log_key.type != ED25519:
        raise CannotCheckError("The key is a witness's, not a log's.")
    named = [_parsed(text) for text in witnesses]
    if quorum is not None and quorum > len(named):
        raise CannotCheckError(f"--quorum {quorum} takes as many --witness options, or more.")
    verdict = check_receipt(_text_of(file), log_key, named, quorum)
    if not verdict.is_receipt:
        raise CannotCheckError(f"{_name(file)}: {_REASONS['not_a_receipt']}.")
    if as_json or options.json:
        click.echo(msgspec.json.encode(_told(verdict, log_key)))
    else:
        _print(verdict, log_key)
    if not verdict.proved:
        sys.exit(REFUSED)


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_json
@click.pass_obj
def show(options: Options, file: Path, *, as_json: bool) -> None:
    """Show what the receipt in FILE says. Nothing of it is verified."""
    facts = read_receipt(_text_of(file))
    if facts is None:
        raise CannotCheckError(f"{_name(file)} is not a receipt, or part of it is missing.")
    if as_json or options.json:
        click.echo(msgspec.json.encode({"verified": False, **_facts(facts)}))
        return
    click.echo("Nothing of this was verified; `tributary receipt check` does that.")
    for line in _lines(facts):
        click.echo(line)


# --- What is given -------------------------------------------------------------------------------


def _key_text(key: str | None, file: Path | None, url: str | None) -> str:
    given = [one for one in (key, file, url) if one is not None]
    if len(given) != 1:
        raise CannotCheckError(
            "Give the log's public key, by one of --key, --key-file and --key-url. Take it from"
            " where you trust it, such as a printed page: a receipt cannot vouch for itself."
        )
    if key is not None:
        return key
    return _fetched(url) if url is not None else _read_key(file)


def _read_key(file: Path | None) -> str:
    try:
        return Path(str(file)).read_text()[:LONGEST_KEY]
    except (OSError, UnicodeDecodeError) as fault:
        raise CannotCheckError(f"{file} cannot be read: {_why(fault)}.") from fault


def _fetched(url: str) -> str:
    import httpx  # the only thing here that needs the network

    try:
        answer = httpx.get(url, timeout=WAIT_S, follow_redirects=True)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise CannotCheckError(f"No key came from {url}: {fault}.") from fault
    return answer.text[:LONGEST_KEY]


def _parsed(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text.strip())
    except NoteError as fault:
        raise CannotCheckError(f"This is not a key: {fault}.") from fault


def _text_of(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(LONGEST_FILE + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(LONGEST_FILE + 1)
    except OSError as fault:
        raise CannotCheckError(f"{_name(file)} cannot be read: {_why(fault)}.") from fault
    if len(data) > LONGEST_FILE:
        raise CannotCheckError(f"{_name(file)} is too large for a receipt.")
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        raise CannotCheckError(f"{_name(file)} is not text, so it is not a receipt.") from fault


def _name(file: Path) -> str:
    return "Standard input" if str(file) == "-" else str(file)


def _why(fault: Exception) -> str:
    return (fault.strerror if isinstance(fault, OSError) else None) or str(fault)


# --- What is said --------------------------------------------------------------------------------


def _print(verdict: Verdict, key: VerifierKey) -> None:
    for point in verdict.points:
        mark = {True: "✓", False: "✗", None: "·"}[point.ok]
        click.echo(f"{mark} {_POINTS[point.name]}: {_REASONS[point.reason]}")
    click.echo()
    if verdict.proved and verdict.facts is not None:
        click.echo(_sentence(verdict.facts, key))
    else:
        click.echo("This receipt does not prove what it says.")


def _sentence(facts: Facts, key: VerifierKey) -> str:
    """What is proved, in one sentence."""
    tree = facts.checkpoint
    told = f"{_what(facts)} is entry {facts.index + 1:,} of the log {tree.origin} as of size"
    told = f"{told} {tree.size:,}, signed by {key.name}+{key.key_id.hex()}"
    seen = [f"{one.key.name} at {_time(one.at_s)}" for one in facts.witnessed]
    return f"{told}{', witnessed by ' if seen else ''}{', '.join(seen)}."


def _what(facts: Facts) -> str:
    public = facts.public
    if public is None:
        return "An entry that cannot be read"
    kind, minor, pledges = _kind(public)
    amount = _amount(abs(minor), public.currency)
    said = _PROVED.get(kind, "A change ({kind}) of {amount}").format(
        amount=amount, pledges=abs(pledges), kind=kind
    )
    number = "" if facts.event is None else f", its pledge {facts.event.no:,},"
    return f"{said} to campaign {public.campaign}{number} on {public.day} (UTC)"


def _kind(public: PublicPart) -> tuple[str, int, int]:
    """What happened, by which amount, to how many pledges."""
    if not public.changes:
        return ("unchanged", 0, 0)
    first = public.changes[0]
    many = first.kind == "withdrawn" and first.pledges != -1
    return ("released" if many else first.kind, first.minor, first.pledges)


def _amount(minor: int, currency: str) -> str:
    known = currency in EXPONENTS
    return format_minor(minor, currency) if known else f"{minor} minor units of {currency}"


def _time(at_s: int | None) -> str:
    try:
        return datetime.fromtimestamp(at_s or 0, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {at_s}"


def _lines(facts: Facts) -> Iterator[str]:
    tree, public = facts.checkpoint, facts.public
    yield f"log         {tree.origin}"
    yield f"size        {tree.size:,}"
    yield f"entry       {facts.index + 1:,}"
    if public is None:
        yield "contents    none that can be read"
        return
    yield f"campaign    {public.campaign}"
    yield f"day (UTC)   {public.day}"
    for change in public.changes:
        yield f"change      {change.kind} {_amount(change.minor, public.currency)}"
    if facts.event is not None:
        yield f"fact        {TOLD_KINDS[type(facts.event)]}, pledge {facts.event.no:,}"


def _told(verdict: Verdict, key: VerifierKey) -> dict[str, Any]:
    facts = verdict.facts
    return {
        "proved": verdict.proved,
        "points": [_point(point) for point in verdict.points],
        "key": key.encode(),
        **(_facts(facts) if facts else {}),
        "said": _sentence(facts, key) if verdict.proved and facts else "",
    }


def _point(point: Point) -> dict[str, Any]:
    said = _REASONS[point.reason]
    return {"name": point.name, "ok": point.ok, "reason": point.reason, "said": said}


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "log": facts.checkpoint.origin,
        "size": facts.checkpoint.size,
        "index": facts.index,
        "public": facts.public,
        "event": facts.event,
        "witnesses": [{"name": one.key.name, "at_s": one.at_s} for one in facts.witnessed],
    }
