"""Schemathesis over the API's description, sent straight to the application.

Each case is drawn from the OpenAPI document, well-formed or not; where it asks for an id it gets,
most of the time, one that exists. Every answer must be one that the document names, with its
content.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import httpx
import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from app.api.bodies import NDJSON
from app.api.describing import document
from tests.api.populating import Peopled
from tests.api.running import ORIGIN, Caller

CHECKS: Final = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

_KNOWN: Final = 0.8
"""How often an id that exists takes the place of one that was drawn."""

Operations = list[Any]


@schemathesis.serializer(NDJSON)
def _lines(_: Any, value: Any) -> bytes:  # noqa: ANN401 - whatever was drawn
    """Write a batch: one line for each part of what was drawn."""
    parts = value if isinstance(value, list) else [value]
    return b"\n".join(msgspec.json.encode(part) for part in parts)


@schemathesis.serializer("image/jpeg", "image/png", "image/webp")
def _bytes(_: Any, value: Any) -> bytes:  # noqa: ANN401 - whatever was drawn
    """Write a file: hardly ever a picture."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def _drawable() -> dict[str, Any]:
    """The document as cases are drawn from it: without keys, which are ours to show, and with the
    lines of a batch instead of its bytes.
    """
    drawn = copy.deepcopy(document())
    del drawn["components"]["securitySchemes"]
    for methods in drawn["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
            content = operation.get("requestBody", {}).get("content", {})
            if NDJSON in content:
                line = content[NDJSON]["x-line-schema"]
                content[NDJSON] = {"schema": {"type": "array", "items": line, "maxItems": 20}}
    return drawn


def operations() -> Operations:
    """Every operation of the document that takes a key."""
    schema: Any = schemathesis.openapi.from_dict(_drawable())
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.path.startswith("/api/")]


class Cases:
    """Draws and sends cases, and counts what was answered."""

    def __init__(self, world: Peopled, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.loop = loop
        self.statuses: Counter[tuple[str, int]] = Counter()

    def run(self, operation: Any, caller: tuple[str, Caller], count: int, seed: int) -> None:  # noqa: ANN401 - Schemathesis' own
        """Send so many cases of an operation with a key; half of them are malformed."""
        for mode, share in (
            (schemathesis.GenerationMode.POSITIVE, count - count // 2),
            (schemathesis.GenerationMode.NEGATIVE, count // 2),
        ):
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except schemathesis.errors.SchemathesisError:
                continue
            with contextlib.suppress(Unsatisfiable):  # nothing of it can be malformed
                self._drawn(strategy, caller, share, seed)()

    def _drawn(
        self,
        strategy: Any,  # noqa: ANN401 - Hypothesis' own
        caller: tuple[str, Caller],
        count: int,
        seed: int,
    ) -> Callable[[], None]:
        @settings(
            max_examples=max(1, count),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        )
        @given(case=strategy, number=st.integers(0, 2**32))
        def send(case: Any, number: int) -> None:  # noqa: ANN401 - Schemathesis' own
            self._send(case, caller, random.Random(number ^ seed))

        return send

    def _send(self, case: Any, caller: tuple[str, Caller], chance: random.Random) -> None:  # noqa: ANN401 - Schemathesis' own
        name, key = caller
        replaced = self._use_known(case, chance)
        kwargs = case.as_transport_kwargs(base_url=ORIGIN, headers=dict(key.headers))
        kwargs = {name: value for name, value in kwargs.items() if name in _SENT}
        try:
            prepared = requests.Request(**kwargs).prepare()
        except (requests.RequestException, UnicodeError, ValueError):
            return  # what no client can send is not sent
        self.world.running.platform.follower.catch_up()  # nothing follows the log by itself here
        assert prepared.method is not None
        assert prepared.url is not None
        body = prepared.body
        content = body.encode() if isinstance(body, str) else body
        headers: Any = {
            key: value
            for key, value in prepared.headers.items()
            if key.lower() not in {"content-length", "transfer-encoding"}
        }
        answer: httpx.Response = self.loop.run_until_complete(
            self.world.running.client.request(
                prepared.method,
                prepared.url,
                content=content,  # type: ignore[arg-type]
                headers=headers,
            )
        )
        self.statuses[name, answer.status_code] += 1
        wanted = CHECKS[:-1] if replaced or answer.status_code == _TOO_LARGE else CHECKS
        case.validate_response(answer, checks=wanted, transport_kwargs=kwargs)

    def _use_known(self, case: Any, chance: random.Random) -> bool:  # noqa: ANN401 - Schemathesis' own
        """Put ids that exist in the place of drawn ones; tell whether any was put."""
        replaced = False
        for part in (case.path_parameters, case.body):
            if not isinstance(part, dict):
                continue
            for name in list(part):
                if name == "no" and chance.random() < _KNOWN:
                    part[name] = chance.randint(1, 3)
                elif name in self.world.ids and chance.random() < _KNOWN:
                    part[name] = self.world.some(name, chance)
                else:
                    continue
                replaced = True
        return replaced


_SENT: Final = {"method", "url", "headers", "params", "data", "json", "cookies", "files"}
_TOO_LARGE: Final = 413
"""A rejection as well, which the check of malformed requests does not know as one."""
