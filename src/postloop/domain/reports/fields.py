"""Values of report fields: typed values, addresses, times, codes. Every function takes any text."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from postloop.domain.reports.addresses import addresses_in, recipients_in

_MAX_DATE_CHARS: Final = 100
_MAX_ID_CHARS: Final = 998

_typed: Final = re.compile(r"[ \t]*([A-Za-z][A-Za-z0-9.-]{0,30})[ \t]*;[ \t]*").match
_comment: Final = re.compile(r"\([^()]*\)")
_escaped_character: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_verp: Final = re.compile(r"[^+@]+\+([^@=\s]+)=([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)@").match

# RFC 3463 section 2; not a part of a longer number such as an IP address.
_status: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)").search
# RFC 5321 section 4.2: at the beginning of a reply, or where somebody quotes one.
_leading_reply: Final = re.compile(r"[ \t]*(?:smtp;[ \t]*)?([45]\d\d)(?=[ \t-]|$)").match
_quoted_reply: Final = re.compile(
    r"(?:said|returned|response|error|<<<|reason)[^\n\d]{0,40}?:?[ \t]*([45]\d\d)(?=[ -])"
    r"|(?<![\d.])([45]\d\d)[ -]#?[45]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)",
    re.IGNORECASE,
).search


def typed_value(value: str) -> tuple[str, str]:
    """Return type and text of `rfc822; ada@example.org` (RFC 3464 section 2.1.2); the type is "" if there is none."""
    found = _typed(value)
    return (found[1].lower(), value[found.end() :].strip()) if found else ("", value.strip())


def without_comments(value: str) -> str:
    """Return the value without what stands in parentheses (RFC 5322 section 3.2.2; nested ones lose the inner)."""
    return _comment.sub(" ", value).strip()


def report_addresses(value: str) -> list[str]:
    """Return the addresses of a recipient field without type, names and comments, else the text as given.

    One is what the RFCs allow; some servers write lists. Nothing is there: an empty list. RFC 6533 writes other
    scripts as `\\x{5C0F}` where a report must stay in ASCII.
    """
    kind, text = typed_value(value)
    found = recipients_in(text)
    return [_escaped_character.sub(_character, address) for address in found] if kind == "utf-8" else found


def _character(escape: re.Match[str]) -> str:
    number = int(escape[1], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else escape[0]


def domain_in(value: str) -> str:
    """Return the domain of the first address of a header in lower case, "" if there is none."""
    found = addresses_in(value)
    domain = found[0].rpartition("@")[2].strip().strip(".").lower() if found else ""
    return "" if re.search(r"[\s<>@]", domain) else domain


def verp_recipient(value: str) -> str:
    """Return the recipient that a return path `bounces+ada=example.org@acme.example` carries, else "".

    Only behind a plus: with a hyphen nobody can tell where the recipient begins (`list-mary-ann=example.org`).
    """
    found = _verp(value.strip().lstrip("<"))
    return f"{found[1]}@{found[2]}" if found else ""


def message_id_in(value: str) -> str:
    """Return the first message id of a header without its angle brackets, "" if there is none."""
    found = re.search(r"<([^<>]+)>", value)
    text = found[1] if found else value
    return re.sub(r"\s+", "", text)[:_MAX_ID_CHARS]


def moment_of(value: str) -> datetime | None:
    """Return the time of a date field in UTC; None for no date or no such moment. Without a zone it is UTC."""
    text = without_comments(value[:_MAX_DATE_CHARS])
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def moments_of(*values: str) -> tuple[datetime, ...]:
    """Return the times that can be read, in the order given."""
    return tuple(moment for value in values if value and (moment := moment_of(value)) is not None)


def enhanced_status(text: str) -> str:
    """Return the first enhanced status in a text, e.g. 5.1.1; "" if there is none."""
    found = _status(text)
    return found[1] if found else ""


def reply_code(text: str) -> int:
    """Return the reply code that a diagnostic begins with or quotes; 0 if there is none."""
    found = _leading_reply(text) or _quoted_reply(text)
    return int(next(filter(None, found.groups()))) if found else 0
