"""The page about the API at `/api`, and the document that it is made from, at `/openapi.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from litestar import HttpMethod, Response, route
from litestar.di import NamedDependency
from litestar.response import Template
from markupsafe import Markup
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.describing import document
from app.api.introducing import SCOPES
from app.web.markdown import html
from app.web.site import Site

MAX_AGE_S: Final = 300
_READ: Final = [HttpMethod.GET, HttpMethod.HEAD]


class Part(Struct, frozen=True):
    """A parameter of an address, or a field of an object. `kind` is its type in words."""

    name: str
    kind: str
    required: bool
    text: Markup
    place: str = ""


class Answer(Struct, frozen=True):
    """An answer by its status; `kind` names the object that it holds."""

    status: str
    text: Markup
    kind: str


class Operation(Struct, frozen=True):
    """An address with a method, as the page shows it."""

    id: str
    method: str
    path: Markup
    summary: str
    text: Markup
    scopes: tuple[str, ...]
    parameters: tuple[Part, ...]
    body: str
    fields: tuple[Part, ...]
    example: str
    answers: tuple[Answer, ...]


class Area(Struct, frozen=True):
    """Operations that belong together."""

    id: str
    name: str
    text: str
    operations: tuple[Operation, ...]


class Shape(Struct, frozen=True):
    """An object that is sent or answered."""

    name: str
    text: Markup
    fields: tuple[Part, ...]


class Manual(Struct, frozen=True):
    """All that the page shows."""

    introduction: Markup
    scopes: tuple[tuple[str, str], ...]
    areas: tuple[Area, ...]
    shapes: tuple[Shape, ...]


@cache
def manual() -> Manual:
    """The document in the order in which a person reads it."""
    said = document()
    schemas = said["components"]["schemas"]
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in said["tags"]}
    for path, methods in said["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(path, method, operation, schemas))
    return Manual(
        html(said["info"]["description"]),
        tuple(SCOPES.items()),
        tuple(
            Area(tag["name"].lower(), tag["name"], tag["description"], tuple(found[tag["name"]]))
            for tag in said["tags"]
        ),
        tuple(
            Shape(name, html(schema.get("description", "")), tuple(_fields(schema)))
            for name, schema in schemas.items()
            if "properties" in schema
        ),
    )


def _operation(
    path: str, method: str, said: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Operation:
    content = said.get("requestBody", {}).get("content", {})
    media = ", ".join(content)
    body: dict[str, Any] = next(iter(content.values()), {})
    schema = body.get("x-line-schema") or body.get("schema", {})
    name = _name(schema)
    example = body.get("example")
    return Operation(
        id=said["operationId"],
        method=method.upper(),
        path=Markup("<wbr>/").join(path.split("/")),
        summary=said["summary"],
        text=html(said["description"]),
        scopes=tuple(scope for one in said["security"] for scope in one["key"]),
        parameters=tuple(
            Part(
                one["name"],
                _kind(one["schema"]),
                one.get("required", False),
                html(one.get("description", "")),
                one["in"],
            )
            for one in said.get("parameters", ())
        ),
        body=f"{name} ({media})" if name else media,
        fields=tuple(_fields(schemas[name])) if name in schemas else (),
        example="" if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        answers=tuple(_answers(said["responses"])),
    )


def _answers(responses: Mapping[str, Any]) -> Iterator[Answer]:
    shared = document()["components"]["responses"]
    for status, response in responses.items():
        reference = response.get("$ref", "").rpartition("/")[2]
        whole = shared[reference] if reference else response
        content: Any = next(iter(whole.get("content", {}).values()), {})
        text = whole["description"]
        if reference in _LONG:
            text = "Any reason of the rules with this status: see [problems](/problems)."
        yield Answer(status, html(text), _name(content.get("schema", {})))


_LONG: Final = frozenset({"Forbidden", "Missing", "Conflict", "Invalid", "Later"})


def _name(schema: Mapping[str, Any]) -> str:
    """The name of the object that a schema refers to; empty where it is none of ours."""
    for option in (schema, *schema.get("allOf", ()), *schema.get("anyOf", ())):
        if "$ref" in option:
            return str(option["$ref"]).rpartition("/")[2]
    return ""


def _fields(schema: Mapping[str, Any]) -> Iterator[Part]:
    required = schema.get("required", ())
    for name, said in schema.get("properties", {}).items():
        yield Part(name, _kind(said), name in required, html(said.get("description", "")))


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema's type in words: `text`, `number, 1 to 200`, `list of RewardIn`."""
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    match schema.get("type"):
        case "integer":
            return f"number{_bounds(schema)}"
        case "string":
            most = schema.get("maxLength")
            return f"text, at most {most:,} characters" if most else "text"
        case "array":
            return f"list of {_kind(schema.get('items', {}))}"
        case "object":
            inner = schema.get("additionalProperties")
            return f"object of {_kind(inner)}" if isinstance(inner, dict) else "object"
        case kind:
            return str(kind or "anything")


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None and high < 2**31:
        return f", {low:,} to {high:,}"
    return f", at least {low:,}" if low is not None and low > -(2**31) else ""


@route("/openapi.json", http_method=_READ, include_in_schema=False)
async def openapi_json() -> Response[bytes]:
    """The OpenAPI 3.1 document."""
    return Response(
        _encoded(),
        media_type="application/json",
        headers={"cache-control": f"public, max-age={MAX_AGE_S}"},
    )


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


@route("/api", http_method=_READ, include_in_schema=False)
async def show_manual(request: ApiRequest, site: NamedDependency[Site]) -> Template:  # noqa: ARG001
    """Every address of the API on one page, to be read and searched by the browser's own means."""
    return site.page("api/manual.html", manual=manual(), base=site.platform.settings.public_url)


PAGES: Final = (show_manual, openapi_json)
