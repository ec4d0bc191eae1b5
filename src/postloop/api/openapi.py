"""The OpenAPI document: every error is a problem document, and the document says which there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from postloop.api.problems import MEDIA_TYPE
from postloop.contracts.envelope import Envelope
from postloop.domain.event_types import EVENT_TYPES, INPUT_TOPICS

_REFERENCE: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_TEXTS: Final = {
    401: "No key, or none that counts.",
    403: "A rule says no; `code` says which.",
    404: "There is nothing of that name that concerns the owner of the key.",
    405: "Another method is for this path.",
    409: "It cannot be done now; `code` says why.",
    413: "The body is too large.",
    415: "The body is compressed, or said to be no JSON.",
    422: "The request is not as described; `errors` names each field.",
    503: "A part that the answer needs is away; `missing` names it.",
    504: "No answer in time.",
}
_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:postloop:problem:` and the code."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "For programs."},
        "detail": {"type": "string", "description": "For people."},
        "missing": {
            "type": "array",
            "items": {"type": "string"},
            "description": "With 503: clickhouse, kafka, blocklist.",
        },
        "contact": {"type": "string", "description": "Who may, where a rule says no; may be empty."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": ["integer", "null"], "description": "Which element of a batch."},
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "text": {"type": "string"},
                },
            },
            "description": "With 422: each field that is wrong.",
        },
    },
    "examples": [
        {
            "type": "urn:postloop:problem:caused_by_another_account",
            "title": "Forbidden",
            "status": 403,
            "code": "caused_by_another_account",
            "contact": "postmaster@platform.example",
            "detail": "The mail of another account caused this block: only an operator can lift it. "
            "Contact: postmaster@platform.example",
        }
    ],
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can end with these statuses."""
    return {status: {"description": _TEXTS[status], "content": _REFERENCE} for status in sorted(statuses)}


WITH_KEY: Final = errors(401, 422, 503)
"""The `responses` of every route that needs a key."""


def describe(app: FastAPI, routes: Iterable[BaseRoute]) -> None:
    """Make the application give out the whole document.

    Args:
        routes: Those that may have an example, as they were declared.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
            _put_examples(app.openapi_schema["paths"], routes)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way that FastAPI's documentation shows


def _made(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=_ABOUT, routes=app.routes
    )
    schemas = document["components"].setdefault("schemas", {})
    schemas |= {"Problem": _PROBLEM, "Event": _event()}
    return document


def _put_examples(paths: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """Put the examples in as they were written: what FastAPI makes of them has lost every field that is null."""
    for route in routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            answers = paths[route.path_format][method.lower()]["responses"]
            for status, said in route.responses.items():
                for kind, content in said.get("content", {}).items():
                    if "example" in content:
                        answers[str(status)]["content"][kind]["example"] = content["example"]


def _event() -> dict[str, Any]:
    """Return what every event has; what each type has beside that is in the schemas of the topics."""
    schema = Envelope.model_json_schema()
    kinds = [*EVENT_TYPES, *INPUT_TOPICS.values()]
    schema["properties"]["type"] = {"enum": kinds, "description": "Needed unless the request says ?type=."}
    schema |= {"title": "Event", "description": "docs/events.md has the fields of each type."}
    return schema


_ABOUT: Final = (
    "Send a key as `Authorization: Bearer KEY`. A key of an account sees what concerns the account; "
    "what belongs to others does not exist for it. Times are RFC 3339 in UTC, rates are fractions from 0 to 1."
)
