"""The commands about the transparency log: how it stands, and the key that others verify with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from app.settings import SettingsError

if TYPE_CHECKING:
    from app.cli_options import Options
    from app.settings import Settings
    from app.transparency.store import SignedCheckpoint, TransparencyStore, Tree


@click.group("log")
def log_group() -> None:
    """The transparency log: how it stands, and its key."""


@log_group.command("key")
@click.option("--new", "name", metavar="ORIGIN", help="Make a new signing key of this name.")
@click.pass_obj
def show_key(options: Options, name: str | None) -> None:
    """Print the public key by which checkpoints and receipts are verified.

    With --new, print a new private key instead, which is kept nowhere: it is for
    TRIBUTARY_SIGNING_KEY.
    """
    from app.keys import load_signing
    from app.transparency.note import NoteError, SigningKey

    if name is not None:
        try:
            click.echo(SigningKey.generate(name).encode())
        except NoteError as fault:
            raise click.ClickException(str(fault)) from fault
        return
    vkey = load_signing(options.settings, make=False).verifier.encode()
    click.echo(vkey)
    options.answer({"key": vkey})


@log_group.command("status")
@click.pass_obj
def show_status(options: Options) -> None:
    """Say how large the tree is, what was signed and published, and what is amiss.

    Ends with 1 where something is.
    """
    from app.transparency.store import open_transparency

    settings = options.settings
    if not settings.database_url and not settings.transparency_path.exists():
        raise click.ClickException("There is no transparency log yet: start the server.")
    store = open_transparency(settings)
    try:
        tree = store.tree()
        if tree is None:
            raise click.ClickException("There is no transparency log yet: start the server.")
        _tell(options, settings, store, tree)
    finally:
        store.close()


def _tell(options: Options, settings: Settings, store: TransparencyStore, tree: Tree) -> None:
    from app.log.opening import open_log
    from app.transparency.note import encode_base64

    log = open_log(settings.database_url, settings.log_path)
    try:
        last, _ = log.last()
    finally:
        log.close()
    signed, published = store.latest_signed(), store.latest_published()
    fault = _fault(settings, store, tree, last)
    lines = [
        f"{tree.origin}",
        f"key        {tree.vkey}",
        f"log        {last:,} events",
        f"tree       {tree.size:,} leaves",
        f"root       {encode_base64(store.root_at(tree.size))}",
        f"signed     {_when(signed)}",
        f"published  {_when(published)}",
        *(f"witness    {each.vkey.partition('+')[0]} at {each.url}" for each in settings.witnesses),
    ]
    if settings.witnesses:
        lines.append(f"quorum     {settings.witness_quorum} of {len(settings.witnesses)}")
    options.say("\n".join(lines))
    options.answer(
        {
            "origin": tree.origin,
            "key": tree.vkey,
            "log": last,
            "size": tree.size,
            "root": store.root_at(tree.size).hex(),
            "signed": 0 if signed is None else signed.size,
            "published": 0 if published is None else published.size,
            "fault": fault,
        }
    )
    if fault:
        click.echo(f"AMISS: {fault}", err=True)
        raise SystemExit(1)


def _when(checkpoint: SignedCheckpoint | None) -> str:
    if checkpoint is None:
        return "nothing yet"
    at = datetime.fromtimestamp(checkpoint.at / 1000, UTC).isoformat(timespec="seconds")
    return f"{checkpoint.size:,} at {at.replace('+00:00', 'Z')}"


def _fault(settings: Settings, store: TransparencyStore, tree: Tree, last: int) -> str:
    """What is amiss: found here, or told by the process that follows."""
    from app.engine import clock_ms
    from app.keys import fingerprint, load_keys
    from app.metrics.meter import FOLLOWING, read_report
    from app.transparency.running import LATE_MS
    from app.transparency.signing import FILE, ForkError, require_continued

    try:
        keys = load_keys(settings, tree.origin, make=False)
        vkey = keys.signing.verifier.encode()
        store.begin(tree.log_id, keys.origin, vkey, fingerprint(keys.log_secret))
        require_continued(store, settings.keys_dir / FILE, keys.signing.verifier, lambda: last)
    except (ForkError, SettingsError) as fault:
        return str(fault)
    if tree.size > last:
        return f"The tree has {tree.size:,} leaves, and the log {last:,} events."
    waiting = store.unpublished()
    if settings.witness_quorum and waiting is not None and clock_ms() - waiting.at >= LATE_MS:
        return f"Too few witnesses cosign: {waiting.size:,} events were signed and not published."
    report = read_report(settings.data_dir, FOLLOWING)
    if report is None or report.standing is None:
        return "" if tree.size == last else "No process follows the log here."
    return report.standing.tree_fault
