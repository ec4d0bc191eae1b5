"""What a bounce says before any rule is asked: its codes, how far the session had come, and who answered."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from postloop.domain.bounce.model import Bounce

Stage = Literal["", "before_rcpt", "rcpt", "after_rcpt"]

# A reply code or status must not be part of a longer number, of an IP address or of a name.
_find_reply_code: Final = re.compile(r"(?<![\w.:/=+-])[245]\d\d(?=[\s-]|$)(?!-\d\d)").search
_find_status: Final = re.compile(r"(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)").search
_is_status: Final = re.compile(r"\s*#?([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)").match
_find_stage: Final = re.compile(
    r"\b(?:in reply to|smtp error from remote \w+ ?\w* after|error following)(?: end of)? (rcpt|mail|data|ehlo|helo)\b",
    re.IGNORECASE,
).search
_STAGES: Final[dict[str, Stage]] = {
    **dict.fromkeys(("CONN", "CONNECT", "EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "MAIL"), "before_rcpt"),
    "RCPT": "rcpt",
    **dict.fromkeys(("DATA", "BDAT", ".", "EOM", "DOT", "END"), "after_rcpt"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts that rules ask for.

    Attributes:
        code: Reply code, 0 for none.
        status: Enhanced status without its class ("1.1" of 5.1.1), "" for none or one that says nothing (x.0.0).
        is_temporary: A code or a status is of class 4, or the message is still tried.
        stage: How far the session had come.
    """

    code: int
    status: str
    status_class: str
    is_temporary: bool
    stage: Stage


def evidence_of(bounce: Bounce, diagnostic: str) -> Evidence:
    """Return the evidence; fields that are missing are read out of the text.

    A status in the text is preferred to a vague one (x.0.0) in the field: gateways that write their own report
    fill the field with x.0.0 and quote the server's status. Reply code and status may be of different classes;
    either one that is temporary makes the refusal temporary, because a wrong "final" silences a person.
    """
    code = bounce.smtp_code or 0
    if not 200 <= code <= 599:
        code = _code_in(diagnostic)
    status_class, status = _status(bounce.enhanced_code or "")
    if not status:
        found = _find_status(diagnostic)
        if found:
            text_class, status = _status(found[0])
            status_class = status_class if not status else text_class
    is_temporary = code // 100 == 4 or status_class == "4" or (bounce.action or "").strip().lower() == "delayed"
    return Evidence(code, status, status_class, is_temporary, _stage(bounce.smtp_command) or _stage_in(diagnostic))


def _code_in(diagnostic: str) -> int:
    found = _find_reply_code(diagnostic)
    return int(found[0]) if found else 0


def _status(value: str) -> tuple[str, str]:
    """Return class and the rest of an enhanced status; x.0.0 has a class and no rest."""
    found = _is_status(value)
    if not found:
        return "", ""
    subject, detail = int(found[2]), int(found[3])
    return found[1], f"{subject}.{detail}" if subject or detail else ""


def _stage_in(diagnostic: str) -> Stage:
    """Return the stage that the sending server names in its transcript of the session."""
    found = _find_stage(diagnostic)
    return _STAGES.get(found[1].upper(), "") if found else ""


def _stage(command: str | None) -> Stage:
    if not command:
        return ""
    return _STAGES.get(command.split(None, 1)[0].upper() if command.strip() else "", "")
