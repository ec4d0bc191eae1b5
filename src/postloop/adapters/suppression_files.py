"""Suppression lists as files: our own CSV, and the forms of Amazon SES and Tencent Cloud SES.

- csv: a header, then one entry a line (`COLUMNS`); only `recipient` is required when it is read.
- aws: the input of an import job of SES v2 (CreateImportJob), lines of `ADDRESS,BOUNCE` or JSON objects with
  `emailAddress` and `reason`; also what `aws sesv2 list-suppressed-destinations` prints.
- tencent: the answer of ListBlackEmailAddress (API 2020-10-02): `BlackList`, objects with `EmailAddress`, `BounceTime`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

from postloop.contracts.fields import parse_time, rfc3339
from postloop.domain.blocklist import GLOBAL

Format = Literal["csv", "aws", "tencent"]
COLUMNS: Final = (
    "recipient",
    "scope",
    "reason",
    "starts_at",
    "inserted_at",
    "expires_at",
    "entry_id",
    "recipient_form",
)
# Tencent's times carry no zone; the service is in China.
_TENCENT_ZONE: Final = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a list.

    Attributes:
        kind: bounce, complaint or other: what the list says of the cause.
        at: When it happened, as far as the list says.
    """

    recipient: str
    kind: Literal["bounce", "complaint", "other"]
    scope: str = ""
    at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read, and why."""

    line: int
    reason: str


def read_list(text: str, form: Format) -> Iterator[Listed | BadLine]:
    """Yield what a file holds, line by line; what cannot be read comes with its reason."""
    return _READERS[form](text)


def _read_csv(text: str) -> Iterator[Listed | BadLine]:
    lines = csv.DictReader(io.StringIO(text))
    try:
        yield from _csv_rows(lines)
    except csv.Error as error:  # where the next line begins is not known
        yield BadLine(lines.line_num + 1, f"no CSV from here on: {error}")


def _csv_rows(lines: Iterable[dict[str | Any, str | Any]]) -> Iterator[Listed | BadLine]:
    for number, row in enumerate(lines, start=2):
        recipient = (row.get("recipient") or "").strip()
        if not recipient:
            yield BadLine(number, "recipient is missing")
            continue
        try:
            yield Listed(
                recipient=recipient,
                kind=_kind(row.get("reason") or ""),
                scope=(row.get("scope") or "").strip(),
                at=_time(row.get("starts_at")),
                expires_at=_time(row.get("expires_at")),
            )
        except ValueError as error:
            yield BadLine(number, f"no time: {error}")


def _read_aws(text: str) -> Iterator[Listed | BadLine]:
    if document := _document(text, "SuppressedDestinationSummaries"):
        yield from _each(document["SuppressedDestinationSummaries"], _aws_summary)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            if line.lstrip().startswith("{"):
                said = json.loads(line)
                yield Listed(
                    recipient=str(said["emailAddress"]).strip(), kind=_kind(str(said.get("reason", "")))
                )
            else:
                address, _, reason = line.partition(",")
                yield Listed(recipient=address.strip(), kind=_kind(reason))
        except (ValueError, KeyError, TypeError, RecursionError):
            yield BadLine(number, "neither ADDRESS,REASON nor an object with emailAddress")


def _aws_summary(said: Any) -> Listed:
    return Listed(
        recipient=str(said["EmailAddress"]).strip(),
        kind=_kind(str(said.get("Reason", ""))),
        at=_any_time(said.get("LastUpdateTime"), UTC),
    )


def _read_tencent(text: str) -> Iterator[Listed | BadLine]:
    document = _document(text, "BlackList") or (_document(text, "Response") or {}).get("Response") or {}
    if "BlackList" not in document:
        yield BadLine(1, "no BlackList in this document")
        return
    yield from _each(document["BlackList"] or [], _tencent_row)


def _tencent_row(said: Any) -> Listed:
    return Listed(
        recipient=str(said["EmailAddress"]).strip(),
        kind="bounce",
        at=_any_time(said.get("BounceTime"), _TENCENT_ZONE),
    )


def _each(rows: Any, read: Callable[[Any], Listed]) -> Iterator[Listed | BadLine]:
    if not isinstance(rows, list):
        yield BadLine(1, "the list of this document is no array")
        return
    for number, row in enumerate(rows, start=1):
        try:
            yield read(row)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
            yield BadLine(number, f"entry {number} cannot be read: {error}")


def write_list(rows: Iterable[dict[str, Any]], form: Format) -> Iterator[str]:
    """Yield the lines of a file, each with its line end.

    Args:
        rows: The columns of `COLUMNS`, times aware or None. An entry for one sender domain has no place in the
            lists of the other services, which know no sender domains: it is left out there.
    """
    if form == "csv":
        yield _csv_line(COLUMNS)
        for row in rows:
            yield _csv_line([_shown(row[name]) for name in COLUMNS])
    elif form == "aws":
        for row in _global(rows):
            yield _csv_line([row["recipient"], "COMPLAINT" if row["reason"] == "complaint" else "BOUNCE"])
    else:
        listed = [
            {
                "EmailAddress": row["recipient"],
                "BounceTime": f"{row['starts_at'].astimezone(_TENCENT_ZONE):%F %T}",
            }
            for row in _global(rows)
        ]
        yield (
            json.dumps({"BlackList": listed, "TotalCount": len(listed)}, ensure_ascii=False, indent=1) + "\n"
        )


def _global(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (row for row in rows if row["scope"] == GLOBAL)


def _csv_line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    return "" if value is None else str(value)


def _kind(reason: str) -> Literal["bounce", "complaint", "other"]:
    word = reason.strip().lower()
    if word in ("complaint", "unsubscribe"):
        return "complaint"
    return "other" if word == "manual" else "bounce"


def _time(text: str | None) -> datetime | None:
    return parse_time(text.strip()) if text and text.strip() else None


def _any_time(said: Any, zone: Any) -> datetime | None:
    """Return a time as services write it: seconds since 1970, or a text with or without zone."""
    if said in (None, ""):
        return None
    if isinstance(said, int | float):
        return datetime.fromtimestamp(said, UTC)
    moment = datetime.fromisoformat(str(said))
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _document(text: str, name: str) -> dict[str, Any] | None:
    """Return the JSON document that a text is, when it has this field."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and name in document else None


_READERS: Final[dict[Format, Callable[[str], Iterator[Listed | BadLine]]]] = {
    "csv": _read_csv,
    "aws": _read_aws,
    "tencent": _read_tencent,
}
