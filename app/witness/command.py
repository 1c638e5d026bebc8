"""How a witness is run: where its key and its memory are, and its server."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvicorn

from app.settings import kept_text
from app.transparency.note import COSIGNATURE, NoteError, SigningKey, VerifierKey
from app.web.connections import server_limits
from app.witness.server import create_witness_app
from app.witness.store import WitnessStore, WitnessStoreError
from app.witness.witness import Witness

KEY_FILE: Final = "key"
MEMORY_FILE: Final = "witness.db"
GRACE_S: Final = 5


class WitnessCommandError(Exception):
    """The witness cannot be run; the message says why."""


def witness_key(data_dir: Path, name: str = "", given: str = "") -> SigningKey:
    """The key of a witness: the given one, else the one kept in its directory, else a new one of
    this name that is kept there, with the memory that belongs to it. Raises WitnessCommandError.
    """
    path = data_dir / KEY_FILE
    new = not given and not path.exists()
    if new and not name:
        raise WitnessCommandError(f"{path} is not there yet: --name gives a new witness its name")
    try:
        if not given:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            text = kept_text(path, lambda: SigningKey.generate(name, COSIGNATURE).encode())
        key = SigningKey.parse(given or text)
    except NoteError as fault:
        raise WitnessCommandError(f"The witness's key cannot be used: {fault}.") from None
    except OSError as fault:
        raise WitnessCommandError(f"{path}: {fault.strerror}.") from fault
    if key.verifier.type != COSIGNATURE:
        raise WitnessCommandError("The key is not one for cosignatures (type 0x04).")
    if name and key.verifier.name != name:
        raise WitnessCommandError(
            f"The key is that of {key.verifier.name}, not of {name}: a witness keeps its name."
        )
    if new:
        _memory(data_dir, key, begin=True)
    return key


def open_witness(
    data_dir: Path, key: SigningKey, logs: Sequence[str], *, begin: bool = False
) -> Witness:
    """A witness of these logs (verifier keys as text), with its memory, which has to be there
    unless this key begins; raises WitnessCommandError.
    """
    try:
        watched = [VerifierKey.parse(log) for log in logs]
    except NoteError as fault:
        raise WitnessCommandError(f"A log's key cannot be used: {fault}.") from fault
    try:
        return Witness(key, watched, _memory(data_dir, key, begin=begin))
    except NoteError as fault:
        raise WitnessCommandError(f"A log's key cannot be used: {fault}.") from fault


def _memory(data_dir: Path, key: SigningKey, *, begin: bool) -> WitnessStore:
    path = data_dir / MEMORY_FILE
    if not begin and not path.exists():
        raise WitnessCommandError(
            f"{path} is not there: a witness that forgot what it cosigned would cosign a second"
            " history. Bring the file back, or begin a new witness with another key and name; a key"
            " that has never cosigned anything begins with --begin."
        )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = WitnessStore(path)
        store.belong_to(key.verifier.encode())
    except OSError as fault:
        raise WitnessCommandError(f"{data_dir}: {fault.strerror}.") from fault
    except WitnessStoreError as fault:
        raise WitnessCommandError(str(fault)) from fault
    return store


def run_witness(witness: Witness, host: str, port: int) -> None:
    """Serve until told to stop; raises WitnessCommandError where it cannot listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as fault:
        raise WitnessCommandError(
            f"Cannot listen on {host}, port {port}: {fault.strerror}."
        ) from fault
    config = uvicorn.Config(
        create_witness_app(witness),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        **server_limits(),
    )
    with listening:
        uvicorn.Server(config).run([listening])
