"""Why a record is refused: codes for programs, sentences for people."""

import json
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_ERROR_COUNT: Final = 20
_MAX_UNKNOWN_COUNT: Final = 100
_MAX_SHOWN_CHARS: Final = 60
_PRIVATE: Final = frozenset(
    {"recipient", "client_ip", "user_agent", "diagnostic", "smtp_response", "error_message"}
)
"""Fields whose values never appear in a text, because texts are logged and shown."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One reason. `field` is "" for the record as a whole; `text` names the value and the limit."""

    code: str
    field: str
    text: str


# Type of pydantic's error -> our code and sentence; {field}, {shown} and pydantic's context are filled in.
_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "missing": ("missing", "{field} is required"),
    "string_type": ("wrong_type", "{field} must be a string: {shown}"),
    "int_type": ("wrong_type", "{field} must be an integer: {shown}"),
    "tuple_type": ("wrong_type", "{field} must be an array of strings: {shown}"),
    "string_too_short": ("empty", "{field} must not be empty"),
    "string_too_long": ("too_long", "{field} has more than {max_length} characters: {shown}"),
    "too_long": ("too_many", "{field} has more than {max_length} elements"),
    "literal_error": ("unknown_value", "{field} must be {expected}: {shown}"),
    "string_pattern_mismatch": (
        "not_a_time",
        "{field} must be an RFC 3339 time with seconds and zone: {shown}",
    ),
    "value_error": ("not_a_time", "{field} is no moment: {shown}"),
    "greater_than_equal": ("out_of_range", "{field} starts at {ge}: {shown}"),
    "less_than_equal": ("out_of_range", "{field} ends at {le}: {shown}"),
}


def field_errors(error: ValidationError) -> tuple[FieldError, ...]:
    """Return the reasons of a failed validation, at most 20 of them."""
    details = error.errors(include_url=False)[:MAX_ERROR_COUNT]
    return tuple(_field_error(detail) for detail in details)


def has_unknown_field(error: ValidationError) -> bool:
    """Return whether a validator that forbids unknown fields met one first; False when there are very many."""
    return error.error_count() <= _MAX_UNKNOWN_COUNT and _types(error)[0] == "extra_forbidden"


def is_json_error(error: ValidationError) -> bool:
    """Return whether the text could not be parsed at all."""
    return _types(error)[0] == "json_invalid"


def _types(error: ValidationError) -> list[str]:
    return [
        detail["type"]
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _field_error(detail: ErrorDetails) -> FieldError:
    field = ".".join(str(part) for part in detail["loc"])
    if not field:
        return FieldError("not_an_object", "", f"an event is an object: {_shown('', detail['input'])}")
    shown = _shown(field, detail["input"])
    if field == "schema_version":
        return FieldError("unknown_version", field, f"schema_version must be 1: {shown}")
    code, text = _TEXTS.get(detail["type"], ("wrong_value", "{field} cannot be read: {shown}"))
    return FieldError(code, field, text.format(field=field, shown=shown, **detail.get("ctx", {})))


def _shown(field: str, value: object) -> str:
    """Return a value as it may be shown: short, and never somebody's address."""
    if field in _PRIVATE or isinstance(value, dict | list):
        return f"a value of type {_JSON_TYPES.get(type(value), 'unknown')}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool | None) else str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 3] + "..."


_JSON_TYPES: Final = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    list: "array",
    dict: "object",
}
