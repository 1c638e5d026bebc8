"""The API's description of itself: an OpenAPI 3.1 document, made from its declarations and types.

`make openapi` writes it to `docs/openapi.json`; a test fails where the two differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final, get_args

import msgspec
from litestar import Litestar, Response, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import BodyKwarg, QueryParameter
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from msgspec import Meta

from app.api.access import Needs
from app.api.addresses import ENTITY_TAG, NOTES, Notes
from app.api.answers import PledgeLineOut, ProblemLineOut
from app.api.bodies import NDJSON, PledgeLineIn
from app.api.health import live, ready
from app.api.introducing import AREAS, INTRODUCTION, SCOPES
from app.api.problems import MEDIA_TYPE, Problem, explained, problem_type, title_of
from app.api.repeating import PATTERN
from domain.errors import REJECTIONS

JSON: Final = "application/json"
ID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

_ENGINE: Final = ("engine_busy", "not_recorded", "outcome_unknown")
_BOUNDS: Final = ("ge", "le", "max_length", "pattern")
_TEMPLATE: Final = "#/components/schemas/{name}"
_PATH_WORDS: Final = {
    "position": ({"type": "integer", "minimum": 1}, "A position in the log."),
    "no": ({"type": "integer", "minimum": 1}, "The pledge's number in its campaign."),
    "number": (
        {"enum": ["pledged", "charged", "held", "paid", "returned", "fees", "owed"]},
        "Which number.",
    ),
    "key_id": ({"type": "string", "pattern": "^[0-9a-f]{16}$"}, "The key's id."),
}
_HEADERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "ETag": ("The mark of this content.", {"type": "string"}),
    "Link": ('The page that follows, as `rel="next"`.', {"type": "string"}),
    "RateLimit": ("What the key may still ask, and in how many seconds all.", {"type": "string"}),
    "RateLimit-Policy": ("How much the key may ask in how many seconds.", {"type": "string"}),
    "Retry-After": ("In so many seconds.", {"type": "string"}),
    "Tributary-Position": ("A position in the log.", {"type": "string"}),
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    found = list(_operations())
    kinds = [kind for _, _, handler in found for kind in (_body_of(handler), _answer_of(handler))]
    known = [kind for kind in kinds if kind is not None]
    wanted = [*known, PledgeLineIn, PledgeLineOut, ProblemLineOut, Problem]
    _, schemas = msgspec.json.schema_components(wanted, ref_template=_TEMPLATE)
    paths: dict[str, Any] = {}
    for path, method, handler in sorted(found, key=lambda one: (one[0], one[1])):
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, handler)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tributary", "version": "1", "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in AREAS.items()],
        "paths": paths,
        "components": {
            "schemas": {name: _readable(schemas[name]) for name in sorted(schemas)},
            "responses": _shared_responses(),
            "headers": {
                name: {"description": text, "schema": schema}
                for name, (text, schema) in _HEADERS.items()
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "trb_…",
                    "description": "A key. The scopes of which it needs one stand beside each "
                    "address:\n\n"
                    + "\n".join(f"- `{name}`: {text}" for name, text in SCOPES.items()),
                }
            },
        },
    }


def _readable(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose description, a docstring, has lost its line breaks and indents."""
    if "description" in schema:
        parts = schema["description"].strip().split("\n\n")
        schema["description"] = "\n\n".join(" ".join(part.split()) for part in parts)
    return schema


def _operations() -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Every address with each method that is described; `HEAD` is as `GET` without the body."""
    from app.api.routes import HANDLERS  # noqa: PLC0415 - the routes serve this document

    # Nothing is asked of it, so nothing stands behind it.
    application = Litestar(
        [Router("/api/v1", route_handlers=[*HANDLERS]), live, ready],
        openapi_config=None,
        dependencies={"platform": Provide(lambda: None, sync_to_thread=False)},
    )
    for route in application.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield route.path_format, method, handler


def _body_of(handler: HTTPRouteHandler) -> Any:  # noqa: ANN401 - a type
    field = handler.parsed_fn_signature.parameters.get("data")
    if field is None:
        return PledgeLineIn if _notes(handler).body else None
    return field.annotation


def _answer_of(handler: HTTPRouteHandler) -> Any:  # noqa: ANN401 - a type
    annotation = handler.parsed_return_field.annotation
    if getattr(annotation, "__origin__", annotation) is Response:
        (annotation,) = get_args(annotation)
    elif handler.parsed_return_field.is_subclass_of(Response):
        (annotation,) = get_args(handler.parsed_return_field.raw)
    return None if annotation in (bytes, str, None, type(None)) else annotation


def _notes(handler: HTTPRouteHandler) -> Notes:
    found = handler.opt.get(NOTES)
    return found if isinstance(found, Notes) else Notes(area="Health", reasons=())


def _schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    return schema


# --- One operation -------------------------------------------------------------------------------


def _operation(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    notes = _notes(handler)
    with_key = path.startswith("/api/")
    scopes = _scopes(handler)
    said: dict[str, Any] = {
        "tags": [notes.area],
        "operationId": handler.name or handler.handler_name,
        "summary": handler.summary,
        "description": _description(handler, scopes),
    }
    if parameters := [*_parameters(path, method, handler, with_key=with_key)]:
        said["parameters"] = parameters
    if (body := _request_body(handler)) is not None:
        said["requestBody"] = body
    said["responses"] = _responses(path, method, handler, with_key=with_key)
    said["security"] = [{"key": [scope]} for scope in scopes] or ([{"key": []}] if with_key else [])
    return said


def _scopes(handler: HTTPRouteHandler) -> list[str]:
    guards = (guard for guard in handler.guards or () if isinstance(guard, Needs))
    return sorted({scope for guard in guards for scope in guard.scopes})


def _description(handler: HTTPRouteHandler, scopes: list[str]) -> str:
    parts = (handler.fn.__doc__ or "").strip().split("\n\n")
    text = "\n\n".join(" ".join(part.split()) for part in parts)
    if scopes:
        text += f"\n\nTakes a key with {' or '.join(f'`{scope}`' for scope in scopes)}."
    return text


def _parameters(
    path: str, method: str, handler: HTTPRouteHandler, *, with_key: bool
) -> Iterator[dict[str, Any]]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        definition = field.kwarg_definition
        if f"{{{name}}}" in path:
            schema, text = _PATH_WORDS.get(name, ({"type": "string", "pattern": ID}, "An id."))
            if name.endswith("slug"):
                schema, text = {"type": "string"}, "A word."
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": text,
                "schema": schema,
            }
        elif isinstance(definition, QueryParameter):
            yield _query(name, field, definition)
    if method == "POST" and with_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A word of yours: the same request under it is done once.",
            "schema": {"type": "string", "pattern": PATTERN},
        }
    if method in {"PUT", "PATCH", "DELETE"} and "If-Match" in _notes(handler).headers:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The `ETag` of the version that is meant.",
            "schema": {"type": "string", "pattern": ENTITY_TAG},
        }
    if method == "GET" and with_key:
        yield {
            "name": "If-None-Match",
            "in": "header",
            "description": "The `ETag` of what is known: `304` where it is still that.",
            "schema": {"type": "string"},
        }


def _query(name: str, field: FieldDefinition, definition: QueryParameter) -> dict[str, Any]:
    bounds: dict[str, Any] = {
        part: bound for part in _BOUNDS if (bound := getattr(definition, part)) is not None
    }
    kind: Any = field.annotation
    schema = _inline(_schema(Annotated[kind, Meta(**bounds)] if bounds else kind))
    said: dict[str, Any] = {"name": definition.name or name, "in": "query", "schema": schema}
    if definition.description:
        said["description"] = definition.description
    if field.default not in (None, "", 0) and field.has_default:
        schema["default"] = field.default
    if not field.has_default:
        said["required"] = True
    return said


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """A query says what is left out by leaving it out, never by `null`."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        schema = options[0]
    if "$ref" in schema:
        from domain.state import Phase  # noqa: PLC0415 - the one enum of a query

        assert schema["$ref"].endswith("/Phase"), schema
        return {"enum": [str(phase) for phase in Phase]}
    return {name: value for name, value in schema.items() if name != "default"}


def _request_body(handler: HTTPRouteHandler) -> dict[str, Any] | None:
    kind, notes = _body_of(handler), _notes(handler)
    if notes.raw:
        taken = {media: {"schema": {"type": "string", "format": "binary"}} for media in notes.raw}
        return {"required": True, "description": "The bytes themselves.", "content": taken}
    if kind is None:
        return None
    if notes.body:
        # The line itself is described; a tool that takes it for the body sends a batch of one.
        return {
            "required": True,
            "description": "One pledge a line.",
            "content": {notes.body: {"schema": {"type": "string"}, "x-line-schema": _schema(kind)}},
        }
    said: dict[str, Any] = {"schema": _schema(kind)}
    if notes.example is not None:
        said["example"] = notes.example
    field = handler.parsed_fn_signature.parameters["data"]
    assert isinstance(field.kwarg_definition, BodyKwarg)
    return {"required": not field.has_default, "content": {JSON: said}}


# --- Answers -------------------------------------------------------------------------------------


def _responses(
    path: str, method: str, handler: HTTPRouteHandler, *, with_key: bool
) -> dict[str, Any]:
    notes = _notes(handler)
    kind = _answer_of(handler)
    headers = ["RateLimit", "RateLimit-Policy"] if with_key else []
    if method == "GET" and with_key:
        headers.append("ETag")
    headers += [name for name in notes.headers if name in _HEADERS]
    if "cursor" in handler.parsed_fn_signature.parameters:
        headers.append("Link")
    if notes.command:
        headers.append("Tributary-Position")
    done: dict[str, Any] = {"description": "Done." if method != "GET" else "What was asked for."}
    if handler.status_code == HTTPStatus.NO_CONTENT:
        done["description"] = "Done; there is nothing to say."
    elif notes.media:
        done["content"] = {notes.media: {"schema": {"type": "string"}}}
        if notes.media == NDJSON:
            done["content"][NDJSON]["x-line-schema"] = {
                "oneOf": [_schema(PledgeLineOut), _schema(ProblemLineOut)]
            }
    elif kind is not None:
        done["content"] = {JSON: {"schema": _schema(kind)}}
    elif path.endswith("/events"):
        line = {"type": "object", "required": ["position", "event"]}
        done["content"] = {
            JSON: {"schema": {"type": "array", "items": line}},
            NDJSON: {"schema": {"type": "string"}},
        }
    if headers:
        done["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(headers)
        }
    found = {str(handler.status_code): done}
    for status, text in notes.also.items():
        found[str(status)] = done | {"description": text}
    if method == "GET" and with_key:
        found["304"] = {"description": "It is still what `If-None-Match` names."}
    if not with_key and path.endswith("/ready"):
        found["503"] = done | {"description": "Not now: `status` says why."}
    reasons = _reasons(method, handler) if with_key else set()
    for status, grouped in sorted(_by_status(reasons).items()):
        found[str(status)] = _refusal(status, grouped, command=notes.command)
    return dict(sorted(found.items()))


def _reasons(method: str, handler: HTTPRouteHandler) -> set[str]:
    """Every reason for which this address may refuse."""
    notes = _notes(handler)
    names = handler.parsed_fn_signature.parameters
    reasons = {"key_missing", "rate_limited", *notes.reasons}
    if _scopes(handler):
        reasons.add("scope_missing")
    if method == "POST":
        reasons |= {"request_invalid", "idempotency_key_reused"}
    if any(isinstance(f.kwarg_definition, QueryParameter) for f in names.values()):
        reasons.add("request_invalid")
    if not names.keys().isdisjoint(_PATH_WORDS):
        reasons |= {"not_found", "request_invalid"}
    if _body_of(handler) is not None or notes.raw:
        reasons |= {"body_invalid", "too_large", "media_type_unsupported"}
    if "at_least" in names:
        reasons.add("views_behind")
    if "If-Match" in notes.headers:
        reasons |= {"precondition_required", "precondition_failed"}
    if notes.command:
        reasons |= {*_ENGINE, *REJECTIONS, "payment_method_unknown"}
    return reasons


def _by_status(reasons: Iterable[str]) -> dict[int, set[str]]:
    grouped: dict[int, set[str]] = {}
    known = explained()
    for reason in reasons:
        grouped.setdefault(known[reason][0], set()).add(reason)
    return grouped


def _refusal(status: int, reasons: set[str], *, command: bool) -> dict[str, Any]:
    """The answer of one status; where it can have every reason of the rules, the shared one."""
    shared = _shared().get(status)
    if command and shared is not None and reasons == shared[1]:
        return {"$ref": f"#/components/responses/{shared[0]}"}
    if status in _COMMON:
        return {"$ref": f"#/components/responses/{_COMMON[status]}"}
    return _problem(status, reasons)


_COMMON: Final = {401: "KeyMissing", 413: "TooLarge", 415: "OtherMediaType", 429: "RateLimited"}
"""Answers of which each has one reason, wherever it is."""


def _problem(status: int, reasons: set[str]) -> dict[str, Any]:
    known = explained()
    lines = [f"- `{reason}`: {known[reason][1]}" for reason in sorted(reasons)]
    first = min(reasons)
    said: dict[str, Any] = {
        "description": "\n".join(lines),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"reason": {"enum": sorted(reasons)}}},
                    ]
                },
                "example": {
                    "type": problem_type(first),
                    "title": title_of(first),
                    "status": int(status),
                    "detail": known[first][1],
                    "reason": first,
                },
            }
        },
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        said["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return said


@cache
def _shared() -> dict[int, tuple[str, frozenset[str]]]:
    """What the commands have in common: every reason of the rules, by status."""
    base = {*REJECTIONS, *_ENGINE, "idempotency_key_reused", "scope_missing"}
    base |= {"body_invalid", "request_invalid", "payment_method_unknown"}
    names = {403: "Forbidden", 404: "Missing", 409: "Conflict", 422: "Invalid", 503: "Later"}
    return {
        status: (names[status], frozenset(reasons)) for status, reasons in _by_status(base).items()
    }


def _shared_responses() -> dict[str, Any]:
    found = {name: _problem(status, set(reasons)) for status, (name, reasons) in _shared().items()}
    for reason, (status, _) in explained().items():
        if status in _COMMON:
            assert _COMMON[status] not in found, f"there is another reason for {status}"
            found[_COMMON[status]] = _problem(status, {reason})
    return dict(sorted(found.items()))


def main() -> None:
    """Print the document, as it is checked in."""
    json.dump(document(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
