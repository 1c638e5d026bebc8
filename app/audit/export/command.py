"""`tributary audit export`: what is typed, and what is printed."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext

import click
import msgspec

from app.audit.commanding import AT, Options, log_of, progress_bar, told
from app.audit.export.files import STANDARD_OUTPUT
from app.audit.export.wanted import FORMATS, Format, Wanted
from app.audit.progress import unseen


@click.command("export")
@click.option("--format", "format_", type=click.Choice(FORMATS), required=True, help="Which form.")
@click.option(
    "--campaign", "campaigns", multiple=True, help="Only of this one (its id, or its beginning)."
)
@AT
@click.option(
    "--out",
    default=STANDARD_OUTPUT,
    metavar="FILE|DIR|-",
    help="Where to; standard output where nothing is said.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.pass_obj
@told
def export_books(
    options: Options,
    *,
    format_: Format,
    campaigns: tuple[str, ...],
    moment: str | None,
    out: str,
    force: bool,
) -> None:
    """Write the books for Beancount, hledger, spreadsheets and databases.

    Transactions come from the log's events, balances at the end from the read models: `bean-check`
    or `hledger check --strict` proves that the two agree.
    """
    from app.audit.export.making import export  # noqa: PLC0415 - the other commands need no views

    if options.json and out == STANDARD_OUTPUT:
        raise click.UsageError("--json prints its object on standard output: give --out FILE.")
    began = time.perf_counter()
    shown = out == STANDARD_OUTPUT and sys.stdout.isatty()
    with nullcontext(unseen) if shown else progress_bar("Exporting") as progress:
        wanted = Wanted(format_, campaigns, moment, out, force)
        place = log_of(options.settings), options.settings.views_path
        done = export(*place, wanted, progress)
    if options.json:
        click.echo(msgspec.json.encode(done))
    seconds = time.perf_counter() - began
    checked = f" and {done.balances:,} balances" if done.balances else ""
    click.echo(
        f"{done.transactions:,} transactions of {done.postings:,} postings{checked},"
        f" positions 1 to {done.position:,}, in {seconds:,.1f} s",
        err=True,
    )
