"""Errors as RFC 9457 wants them: `application/problem+json`, with a code for programs and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.telemetry import get_logger

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:postloop:problem:"
_MAX_ERRORS: Final = 100
# What the framework refuses by itself: its status -> our code.
_CODES: Final = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    500: "internal_error",
}
# pydantic's words for what a value is -> the code of an element of `errors`.
_FIELD_CODES: Final = {
    "extra_forbidden": ("unknown_field", "there is no such field"),
    "missing": ("missing", "it is required"),
    "json_invalid": ("not_json", "the body is not JSON"),
    "model_attributes_type": ("not_an_object", "send a JSON object"),
}
# pydantic's words for a limit that a value breaks -> our sentence, with the limit.
_LIMIT_TEXTS: Final = {
    "too_short": "it needs at least {min_length:,}",
    "too_long": "it takes at most {max_length:,}",
    "string_too_short": "it is too short: at least {min_length:,}",
    "string_too_long": "it is too long: at most {max_length:,} characters",
    "string_pattern_mismatch": "it holds signs that do not belong there",
}
log = get_logger("postloop.api")


class Problem(HTTPException):
    """An answer that says why not; raise it anywhere below a route.

    Args:
        code: For programs; the same code always means the same.
        detail: For people, one sentence; never a secret.
        more: Further members of the document, as in `missing` or `errors`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.more = more


def missing(part: str, detail: str) -> Problem:
    """Return the answer of a request that needs a part which is away: `clickhouse`, `kafka` or `blocklist`."""
    return Problem(503, f"{part}_unavailable", detail, headers={"Retry-After": "1"}, missing=[part])


def register(app: FastAPI) -> None:
    """Make every error of an application a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(Exception, _bug)


def response(
    status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return a problem document."""
    document = {
        "type": TYPE_PREFIX + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **more,
    }
    return Response(to_json(document), status, dict(headers or {}), media_type=MEDIA_TYPE)


async def _http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return response(error.status_code, error.code, error.detail, headers=error.headers, **error.more)
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == 400:  # said by the framework of a body that cannot be parsed, as where it is not UTF-8
        return invalid([{"field": "", "code": "not_json", "text": "the body is not JSON"}])
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":  # what answers GET answers HEAD
        headers["Allow"] = "GET, HEAD"
    code = _CODES.get(status, "refused")
    detail = f"there is no {request.method} {request.url.path}" if status in (404, 405) else error.detail
    return response(status, code, detail, headers=headers)


async def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(found) for found in error.errors()[:_MAX_ERRORS]]
    return invalid(errors)


def invalid(errors: Sequence[Mapping[str, str]]) -> Response:
    """Return the answer to a request that is not as the document describes it, for one reason or more."""
    first = errors[0]
    named = f"{first['field']}: " if first["field"] else ""
    return response(422, "invalid_request", f"{named}{first['text']}", errors=list(errors))


async def _bug(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=error)
    return response(
        500, "internal_error", "The request failed by a fault of Postloop; its log has the reason."
    )


def _field_error(found: Mapping[str, Any]) -> dict[str, str]:
    place = [str(part) for part in found["loc"]]
    code, text = _FIELD_CODES.get(found["type"], (found["type"], _sentence(found)))
    # The first part says where the value stands: body, path, query; a position in a text that is no JSON is none.
    field = "" if code == "not_json" else ".".join(place[1:])
    return {"field": field, "code": code, "text": text}


def _sentence(found: Mapping[str, Any]) -> str:
    """Return what is wrong, which never repeats the value: that may be somebody's address."""
    ours = _LIMIT_TEXTS.get(found["type"])
    if ours is not None:
        return ours.format(**found["ctx"])
    return str(found["msg"]).removeprefix("Value error, ")


def raise_unavailable(part: str, error: UnavailableError | RefusedError, detail: str) -> NoReturn:
    """Log why a part is away and raise the answer, which does not tell addresses inside the platform."""
    log.warning("part_unavailable", part=part, reason=str(error))
    raise missing(part, detail) from error
