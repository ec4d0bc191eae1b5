"""The types that fields of events have on the wire, and their limits."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import FailFast, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MAX_EVENT_ID_CHARS: Final = 64
MAX_ID_CHARS: Final = 998
"""The longest line of a message (RFC 5322 section 2.1.1): no identifier of mail is longer."""
MAX_TAG_COUNT: Final = 10
MAX_TAG_CHARS: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# RFC 3339 section 5.6: date, T (or a space), time with seconds, any fraction, a zone. Nothing shorter.
_TIME_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"


def parse_time(text: str) -> datetime:
    """Return an RFC 3339 time in UTC; digits beyond microseconds are cut off.

    Raises:
        ValueError: no such moment, e.g. the 30th of February, second 60, or outside the years 1 to 9999.
    """
    moment = datetime.fromisoformat(text if text[-1] != "z" else text[:-1] + "Z")
    try:
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error


class _WireTime:
    """A time: an RFC 3339 string with zone in JSON, an aware datetime in UTC in Python."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        wire = core_schema.no_info_after_validator_function(
            parse_time, core_schema.str_schema(pattern=_TIME_PATTERN, strict=True)
        )
        return core_schema.json_or_python_schema(
            json_schema=wire,
            python_schema=core_schema.union_schema(
                [core_schema.datetime_schema(tz_constraint="aware", strict=True), wire]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(rfc3339, when_used="json"),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": _TIME_PATTERN}


class _NullIsAbsent:
    """An optional field may be null, which means the same as leaving it out."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


def rfc3339(at: datetime) -> str:
    """Return an aware time as it stands on the wire: UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(at: datetime) -> int:
    """Return an aware time as whole milliseconds since 1970, cut."""
    return (at - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware time."""
    return _EPOCH + ms * _MILLISECOND


@lru_cache(maxsize=8192)
def _second(second: int) -> str:
    return moment(second * 1000).replace(tzinfo=None).isoformat(timespec="seconds")


def rfc3339_of(ms: int) -> str:
    """Return `rfc3339(moment(ms))`, made faster: times of a stream lie close together."""
    second, rest_ms = divmod(ms, 1000)
    return f"{_second(second)}.{rest_ms:03d}Z"


NULL_IS_ABSENT: Final = _NullIsAbsent()

WireTime = Annotated[datetime, _WireTime()]
OptionalTime = Annotated[WireTime | None, Field()]
EventId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_EVENT_ID_CHARS)]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]
RecipientText = Annotated[str, StringConstraints(min_length=1)]
Label = Annotated[str, StringConstraints(max_length=MAX_ID_CHARS), NULL_IS_ABSENT]
Text = Annotated[str, NULL_IS_ABSENT]
Tag = Annotated[str, StringConstraints(max_length=MAX_TAG_CHARS)]
# Reading stops at the first bad tag: a record can hold half a million, and each reason takes microseconds.
Tags = Annotated[tuple[Tag, ...], FailFast(), Field(max_length=MAX_TAG_COUNT), NULL_IS_ABSENT]
ReplyCode = Annotated[int, Field(ge=0, le=999), NULL_IS_ABSENT]
# Literal[1] would let true pass, which Python takes for 1.
SchemaVersion = Annotated[int, Field(ge=1, le=1, json_schema_extra={"const": 1})]
Attempt = Annotated[int, Field(ge=1, le=65_535), NULL_IS_ABSENT]
