"""What a bounce says before any rule is asked: its codes, and how far the session had come."""

import re
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, NamedTuple

from postloop.domain.bounce.model import Bounce

Stage = Literal["", "before_rcpt", "rcpt", "after_rcpt"]

_LONGEST_CODE: Final = 3
# Where a code in another spelling is looked for: in front, and in brackets at the end.
_HEAD_CHARS: Final = 60
_TAIL_CHARS: Final = 20
# Looked at behind one that says nothing.
_MOST_STATUSES: Final = 3
# RFC 4954 section 6: what these refuse is a login, and a user who is unknown then is the sender's.
_OF_A_LOGIN: Final = frozenset({534, 535, 538})
# A reply code or status must not be part of a longer number, of an IP address or of a name. What must not stand before
# it is asked behind its first characters: a search for these is three times as fast.
_a_reply_code: Final = re.compile(r"[245](?<![\w.:/=+-].)\d\d(?=[\s-]|$)(?!-\d\d)")
# "550: user unknown", "[550]", "code=550": asked where there is no code as servers write it.
_find_quoted_code: Final = re.compile(
    r"""(?:^|[(\[\"']|(?:code|error|smtp|status|response)[ =#:]{1,2})([245]\d\d)(?=[:,)\]"'\s-])"""
).search
_a_status: Final = re.compile(r"[245]\.(?<![\w.]..)(?<![\w/]#..)\d{1,3}\.\d{1,3}(?!\.?\d)")
_find_status: Final = _a_status.search
_find_statuses: Final = _a_status.finditer
_LONGEST_STATUS: Final = 12  # and what must not follow it
_is_status: Final = re.compile(r"#?([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)").match
# "(in reply to end of DATA command)" of Postfix, "after RCPT TO:" of Exim, "Error following RCPT command" of others.
_TRANSCRIPTS: Final = ("in reply to", "smtp error from remote", "error following", "did not like our")
_find_stage: Final = re.compile(
    r"\b(?:in reply to|smtp error from remote \w+ ?\w* after|error following|did not like our)"
    r"(?: end of| final)? (rcpt|mail|data|ehlo|helo)\b"
).search
# What qmail writes instead of the command.
_SENTENCES: Final[dict[str, Stage]] = {
    "does not like recipient": "rcpt",
    "but recipient was rejected": "rcpt",
    "but sender was rejected": "before_rcpt",
    "but greeting failed": "before_rcpt",
    "failed after i sent the message": "after_rcpt",
}
# "550 RCPT TO:<joe@example.com> user unknown" of servers that repeat the command, and Sendmail's
# "<joe@example.com>... User unknown".
_repeats_rcpt: Final = re.compile(
    r"(?:smtp; ?)?(?:[45]\d\d[ -])?(?:[45]\.\d{1,3}\.\d{1,3} )?(?:rcpt(?: to)? ?:? ?[<(]|<[^<> ]{3,254}>\.\.\. )"
).match
# 503 and 554 after a refusal: every recipient was refused, so the refusal before was for RCPT (RFC 2920 section 3.1).
_NO_RECIPIENT_LEFT: Final = ("rcpt", "recipient", "sequence")
_STAGES: Final[dict[str, Stage]] = {
    **dict.fromkeys(("conn", "connect", "ehlo", "helo", "lhlo", "starttls", "auth", "mail"), "before_rcpt"),
    "rcpt": "rcpt",
    **dict.fromkeys(("data", "bdat", ".", "eom", "eod", "dot", "end", "end-of-data"), "after_rcpt"),
}


class Evidence(NamedTuple):
    """The facts that rules ask for.

    Attributes:
        code: Reply code, or the exit status of a delivery program; 0 for none.
        status: Enhanced status without its class ("1.1" of 5.1.1), "" for none or one that says nothing (x.0.0).
        status_class: "5", "4", "2", or "" for no status.
        is_temporary: A code or a status is of class 4, or the message is still tried.
        stage: How far the session had come, "" where nothing says it.
        has_host: The server that answered is known.
    """

    code: int
    status: str
    status_class: str
    is_temporary: bool
    stage: Stage
    has_host: bool

    @property
    def code_or_class(self) -> str:
        """The reply code, else the class of the status, else "0"."""
        return str(self.code) if self.code else self.status_class or "0"


def evidence_of(bounce: Bounce, folded: str, follow_up: str) -> Evidence:
    """Return the evidence; fields that are missing are read out of the folded text.

    A status in the text is preferred to a vague one (x.0.0) in the field: gateways that write their own report
    fill the field with x.0.0 and quote the server's status. Reply code and status may be of different classes;
    either one that is temporary makes the refusal temporary, because a wrong "final" silences a person.
    """
    code = bounce.smtp_code or 0
    if not 200 <= code <= 599:
        code = _code_in(folded)
    status_class, status = _status(bounce.enhanced_code or "")
    if not status:
        text_class, status = _status_in(folded)
        status_class = text_class if status else status_class or text_class
    return Evidence(
        code=code,
        status=status,
        status_class=status_class,
        is_temporary=code // 100 == 4 or status_class == "4" or _is_delayed(bounce.action),
        stage="before_rcpt" if code in _OF_A_LOGIN else _stage(bounce.smtp_command or "", folded, follow_up),
        has_host=bool(bounce.remote_host),
    )


def _is_delayed(action: str | None) -> bool:
    return (action or "").strip().lower() in ("delayed", "deferred")


def _code_in(folded: str) -> int:
    """Return the reply code in a text; a text that is one short number is an exit status."""
    if folded.isdecimal() and len(folded) <= _LONGEST_CODE:
        return int(folded)
    found = _a_reply_code.search(folded)
    if found and found[0][0] == "2":
        # "Expected 250, but got 550".
        later = _a_reply_code.finditer(folded, found.end())
        found = next((code for code in later if code[0][0] != "2"), found)
    if found:
        return int(found[0])
    tail = max(0, len(folded) - _TAIL_CHARS)  # a position, not a part: the middle of a text is no beginning
    quoted = _find_quoted_code(folded, 0, _HEAD_CHARS) or _find_quoted_code(folded, tail)
    return int(quoted[1]) if quoted else 0


def _status(value: str) -> tuple[str, str]:
    """Return class and the rest of an enhanced status; x.0.0, and Microsoft's x.0.350, have a class and no rest."""
    return _short_status(value.strip()[:_LONGEST_STATUS])


@lru_cache(maxsize=1024)
def _short_status(value: str) -> tuple[str, str]:
    found = _is_status(value)
    if not found:
        return "", ""
    subject, detail = int(found[2]), int(found[3])
    return found[1], f"{subject}.{detail}" if subject else ""


def _status_in(folded: str) -> tuple[str, str]:
    """Return class and rest of the first status that says something, else the class of the first one."""
    first = _find_status(folded)
    if first is None:
        return "", ""
    status_class, status = _status(first[0])
    if status:
        return status_class, status
    for found in islice(_find_statuses(folded, first.end()), _MOST_STATUSES):
        later = _status(found[0])
        if later[1]:
            return later
    return status_class, ""


def _stage(command: str, folded: str, follow_up: str) -> Stage:
    """Return how far the session had come; without a command what the sending server's transcript says.

    A pipelining client reports the command that was answered last, so what follows a refusal is asked as well.
    """
    words = command.lower().split(None, 1)
    stage = _STAGES.get(words[0], "") if words else _stage_in(folded)
    if stage in ("", "after_rcpt") and any(word in follow_up for word in _NO_RECIPIENT_LEFT):
        return "rcpt"
    return stage


def _stage_in(folded: str) -> Stage:
    # Searches for fixed texts cost a tenth of one for a pattern, in a loop half of what a generator costs.
    for words in _TRANSCRIPTS:
        if words in folded:
            found = _find_stage(folded)
            if found:
                return _STAGES.get(found[1], "")
            break
    if ("rcpt" in folded or ">... " in folded) and _repeats_rcpt(folded):
        return "rcpt"
    for sentence, stage in _SENTENCES.items():
        if sentence in folded:
            return stage
    return ""
