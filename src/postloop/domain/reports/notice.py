"""The part of a report that is written for people: who is named in it, and what is said of them."""

import re
from typing import Final

from postloop.domain.reports.fields import reply_code

MAX_NOTICE_CHARS: Final = 65_536
"""More of a text is not read: notices are a page, returned messages are not."""
_MAX_REASON_CHARS: Final = 2_000
_MAX_LINE_CHARS: Final = 998

_controls: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_ADDRESS: Final = r"[^\s<>\"(),:;@]{1,256}@[^\s<>\"(),:;@]{1,255}"
# A line that begins what is said of somebody: `<ada@example.org>: host ... said`, `  ada@example.org`,
# `<ada@example.org>... Deferred`, `ada@example.org on 1/2/2026 10:04 AM`, `ada@example.org (ada@host)`.
_address_line: Final = re.compile(
    rf"[ \t>*-]{{0,12}}<?(?:mailto:)?({_ADDRESS})>?[ \t]*(?::[ \t]*(.*)|\.\.\.[ \t]*(.*)|(\(.*)|on[ \t].*|)[ \t]*"
).fullmatch
_is_ruler: Final = re.compile(r"-{3,}.*").fullmatch

# What was answered, in the words of Postfix, Exim, Sendmail and Exchange. RFC 5321 section 3 names the commands.
_command: Final = re.compile(
    r"in reply to (?:the )?(end of data|[A-Z]{4,8})"
    r"|after (end of data|initial connection|pipelined \w+|[A-Z]{4,8}\b)"
    r"|while sending (?:the )?(end of data|[A-Z]{4,8}\b)"
    r"|>>> ([A-Z]{4,8}\b)"
    r"|\b(connect) to [A-Za-z0-9.-]{1,255}\[",
    re.IGNORECASE,
).search
_COMMANDS: Final = {
    "end of data": "DATA",
    "initial connection": "CONNECT",
    **{
        name.lower(): name for name in ("CONNECT", "HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA")
    },
}
_host: Final = re.compile(
    r"\b(?:host|talking to|connect to|conversation with|connection with) ([A-Za-z0-9][A-Za-z0-9.-]{1,253}[A-Za-z0-9])"
    r"(?=[ \t]?\[|\.?:|\.?[ \t]|$)"
).search


class Notice:
    """A text for people, read once for all recipients of its report.

    Attributes:
        text: The text, as far as it is read.
        told: Who is named on a line of their own, with what is said of them up to the next, on one line.
    """

    def __init__(self, text: str) -> None:
        read = text[:MAX_NOTICE_CHARS]
        if len(text) > len(read):  # half a line may be half an address
            read = read[: read.rfind("\n") + 1] or read
        self.text = _controls.sub(" ", read)
        self._rest = text[len(read) :]
        self._lines = [line.strip() for line in self.text.split("\n")]
        self.told = _told(self._lines)
        self._said = {address.lower(): reason for address, reason in self.told.items()}

    def names_more(self) -> bool:
        """Return whether behind what is read somebody else is named with a reply."""
        told = _told([line.strip() for line in self._rest.split("\n")])
        return any(reply_code(said) for address, said in told.items() if address not in self.told)

    def reason_for(self, recipient: str) -> str:
        """Return what is said of a recipient, else the first line that names them, else ""."""
        wanted = recipient.lower()
        naming = (line for line in self._lines if wanted in line.lower() and len(line) > len(wanted) + 2)
        return self._said.get(wanted) or next(naming, "")[:_MAX_REASON_CHARS]


def _told(lines: list[str]) -> dict[str, str]:
    told: dict[str, list[str]] = {}
    reason: list[str] = []
    paragraph: list[str] = []
    for line in lines:
        found = _address_line(line) if "@" in line and len(line) <= _MAX_LINE_CHARS else None
        if found:
            reason = told.setdefault(found[1].rstrip("."), [])
            paragraph = [*filter(None, found.groups()[1:])]
            reason += paragraph
        elif not line:
            # What follows a reply and a blank line is said to the reader, not of the recipient.
            reason = [] if reply_code(" ".join(paragraph)) else reason
            paragraph = []
        elif not _is_ruler(line):
            reason.append(line)
            paragraph.append(line)
    return {address: " ".join(said)[:_MAX_REASON_CHARS] for address, said in told.items()}


def smtp_command(text: str) -> str:
    """Return the SMTP command that a text says was refused, "" where it names none."""
    found = _command(text[:MAX_NOTICE_CHARS])
    name = found[found.lastindex or 0].lower().removeprefix("pipelined ") if found else ""
    return _COMMANDS.get(name, "")


def remote_host(text: str) -> str:
    """Return the host that a text says was talked to, "" where it names none."""
    found = _host(text[:MAX_NOTICE_CHARS])
    return found[1].lower() if found and "." in found[1] else ""
