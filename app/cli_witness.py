"""The command of a witness, which needs nothing of the platform but this program."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.cli_options import Options

_data = click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/witness"),
    show_default=True,
    help="Where the witness keeps its key and what it cosigned.",
)
_name = click.option("--name", default="", help="The witness's name, for a key that is made.")
_given = click.option(
    "--key",
    "given",
    envvar="TRIBUTARY_WITNESS_KEY",
    default="",
    hidden=True,  # a command line can be read by others on the machine
)


@click.group(invoke_without_command=True)
@_name
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(1, 65535), default=8100, show_default=True)
@_data
@click.option("--log", "logs", metavar="VKEY", multiple=True, help="A log's key. Repeatable.")
@click.option(
    "--begin", is_flag=True, help="This key has never cosigned: begin with an empty memory."
)
@_given
@click.pass_context
def witness(
    context: click.Context,
    name: str,
    host: str,
    port: int,
    data_dir: Path,
    logs: tuple[str, ...],
    begin: bool,
    given: str,
) -> None:
    """Cosign the checkpoints of logs as long as each tree begins with the one before."""
    if context.invoked_subcommand is not None:
        return
    from app.witness.command import WitnessCommandError, open_witness, run_witness, witness_key

    if not logs:
        raise click.UsageError("Which log is watched? --log takes its key, as at its /log/key.")
    options: Options = context.obj
    try:
        key = witness_key(data_dir, name, given)
        watching = open_witness(data_dir, key, logs, begin=begin)
        options.say(f"Witness {key.verifier.name} at http://{host}:{port}")
        options.say(f"Key: {key.verifier.encode()}")
        for origin in sorted(watching.logs):
            seen = watching.store.seen(origin)
            memory = f"{seen.size:,} leaves cosigned" if seen else "nothing cosigned yet"
            options.say(f"Log {origin}: {memory}.")
        with suppress(KeyboardInterrupt):
            run_witness(watching, host, port)
    except WitnessCommandError as fault:
        raise click.ClickException(str(fault)) from fault


@witness.command("key")
@_name
@_data
@_given
@click.pass_obj
def show_key(options: Options, name: str, data_dir: Path, given: str) -> None:
    """Print the witness's public key, as a log's operator wants it; make one where none is kept."""
    from app.witness.command import WitnessCommandError, witness_key

    try:
        verifier = witness_key(data_dir, name, given).verifier
    except WitnessCommandError as fault:
        raise click.ClickException(str(fault)) from fault
    options.say(verifier.encode())
    options.answer({"name": verifier.name, "key": verifier.encode()})
