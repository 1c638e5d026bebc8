"""A witness beside the demo, so that its checkpoints are witnessed.

It shows how it works and proves nothing: a witness is worth something where somebody else runs it,
on a machine of their own (`tributary witness`). It has a key and a memory of its own all the same,
and would refuse a fork.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import uvicorn

from app.keys import load_signing
from app.settings import Settings, SettingsError, WitnessAddress
from app.witness.command import WitnessCommandError, open_witness, witness_key
from app.witness.server import create_witness_app

NAME: Final = "demo-witness"
"""Its name, and that of its directory."""

_logger = logging.getLogger(__name__)


@contextmanager
def witnessed(settings: Settings) -> Iterator[Settings]:
    """Run a witness while this is open; the settings of a log that asks it.

    Who named witnesses of their own keeps those; where this one cannot run, the demo goes on
    without.
    """
    if settings.witnesses:
        yield settings
        return
    folder = settings.data_dir / NAME
    try:
        key = witness_key(folder, NAME)
        # A key that a tree was begun with and that is gone is not made anew.
        new = not settings.transparency_path.exists()
        log_key = load_signing(settings, make=new).verifier.encode()
        application = create_witness_app(open_witness(folder, key, [log_key]))
        listening = socket.create_server(("127.0.0.1", 0))
    except (WitnessCommandError, SettingsError, OSError) as fault:
        _logger.warning("the demo goes on without a witness: %s", fault)
        yield settings
        return
    server = uvicorn.Server(
        uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off")
    )
    # In a thread, in which the server leaves the signals to the demo's own.
    thread = threading.Thread(target=server.run, args=([listening],), name=NAME, daemon=True)
    thread.start()
    address = WitnessAddress(
        vkey=key.verifier.encode(), url=f"http://127.0.0.1:{listening.getsockname()[1]}"
    )
    try:
        yield msgspec.structs.replace(settings, witnesses=(address,), witness_quorum=1)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
