"""Why a record of a topic beside the inputs is none: what its dead letter says."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from postloop.contracts.deadletter import Stage
from postloop.contracts.decode import problem_of_json
from postloop.contracts.field_errors import FieldError, field_errors, is_json_error
from postloop.domain.errors import DataError

READING_ERRORS: Final = (
    DataError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What reading a record may raise that somebody else wrote."""
_DECODE_CODES: Final = frozenset(
    {
        "null_value",
        "not_utf8",
        "not_json",
        "half_character",
        "number_too_large",
        "too_deep",
        "not_finite",
        "not_an_object",
    }
)
_MAX_TEXT_CHARS: Final = 500


def reasons_of(value: bytes | None, error: BaseException) -> tuple[FieldError, ...]:
    """Return why a value could not be read, at least one reason.

    Args:
        error: What reading it raised.
    """
    if value is None:
        return (FieldError("null_value", "", "the record has no value"),)
    is_unparsed = isinstance(error, ValidationError) and is_json_error(error)
    problem = problem_of_json(value, is_unparsed=is_unparsed)
    if problem is not None:
        return (problem,)
    if isinstance(error, ValidationError):
        return field_errors(error)
    if isinstance(error, DataError):
        return (FieldError(error.code, error.field, error.text),)
    return (FieldError("invalid", "", f"{type(error).__name__}: {error}"[:_MAX_TEXT_CHARS]),)


def stage_of(errors: tuple[FieldError, ...]) -> Stage:
    """Return how far a record came that could not be read."""
    return "decode" if errors[0].code in _DECODE_CODES else "validate"
