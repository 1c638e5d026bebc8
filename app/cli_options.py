"""What every command is given, and what ends one in a sentence."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import click
import msgspec
from eventsourcing.persistence import OperationalError, ProgrammingError

from app.settings import Settings, SettingsError, load_settings
from app.stores.connecting import StoreUnavailableError
from app.stores.shapes import NotMigratedError, SchemaTooNewError

STORE_FAULTS = (
    NotMigratedError,
    SchemaTooNewError,
    StoreUnavailableError,
    SettingsError,  # a key that is missing, or another than before
    # The log's own words for the same.
    ProgrammingError,
    OperationalError,
)
"""What ends a command with a sentence, not with a trace of our code."""


class Options:
    """The global options, as every command finds them in `ctx.obj`."""

    def __init__(self, data_dir: Path | None, *, json: bool) -> None:
        self._data_dir = data_dir
        self.json = json
        self.only_reads = False

    @cached_property
    def settings(self) -> Settings:
        """The settings, with what was given before the command."""
        try:
            return load_settings(data_dir=self._data_dir, make=not self.only_reads)
        except SettingsError as fault:
            raise click.ClickException(str(fault)) from fault

    def with_address(self, host: str | None, port: int | None, *, demo: bool = False) -> Settings:
        """The settings of a server."""
        try:
            return load_settings(data_dir=self._data_dir, host=host, port=port, demo=demo)
        except SettingsError as fault:
            raise click.ClickException(str(fault)) from fault

    def say(self, text: str) -> None:
        """Print for people; with --json that goes to standard error."""
        click.echo(text, err=self.json)

    def answer(self, value: object) -> None:
        """Print the one object for machines, last, where it was asked for."""
        if self.json:
            click.echo(msgspec.json.encode(value))
