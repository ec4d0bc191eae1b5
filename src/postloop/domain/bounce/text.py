"""Server replies as words: one spelling for every way to write the same sentence.

Case, accents, folds and the reply code that a server repeats on every line carry no meaning, and neither do the
names of hosts and people: they become one sign each.
"""

import re
import unicodedata
from typing import Final

MAX_HEAD: Final = 2_000
MAX_TAIL: Final = 1_000
"""How many characters of a reply are looked at, from its start and its end.

A server's own words stand first, and what a queue appends ("last reply: ...") last. The longest line of SMTP is
512 octets (RFC 5321 section 4.5.3.1.5), and of six hundred real replies the longest had 1,054 characters; what is
longer quotes the message. The bound keeps the time bounded too.
"""

ADDRESS: Final = "@"
HOST: Final = "#"
IP: Final = "%"
END: Final = "."
"""Signs that stand for a mail address, a host name, an IPv4 address, and the end of a sentence."""

# What stands inside host names, addresses and compound words; all else is a blank, and a semicolon ends a sentence.
_INNER: Final = ".@+=&-"
# A table of bytes: str.translate asks a dictionary for every other character.
_BLANKS: Final = bytes(
    ord(END) if sign == ";" else ord(sign) if sign.isalnum() or sign in f"_{_INNER}" else ord(" ")
    for sign in map(chr, range(256))
)
_WIDE_ENDS: Final = str.maketrans(dict.fromkeys(";。！？；", f"{END} "))
# Vowels of Thai are marks, not letters: \w does not have them.
_blank_out: Final = re.compile(rf"[^\w\u0e00-\u0e7f{re.escape(_INNER)}]").sub
split_token: Final = re.compile(r"[\W_]+").split
_is_ipv4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}").fullmatch
_is_number: Final = re.compile(r"[\d.+=&-]*").fullmatch
_has_wide: Final = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]").search

# A link: the name of its host, and the path there, which ends where ASCII ends: Chinese goes on without a blank.
_link: Final = re.compile(r"((?:://|(?<![\w.-])www\.)[^\s/?#]{0,255})/[!\"$->@-~]*")

# Where a new sentence begins, also without a full stop before it: a word that is looked for first, and with it.
_OPENINGS: Final = (
    (" please ", (" please ",)),
    (" if you ", (" if you ",)),
    (
        " for ",
        (" for more ", " for further ", " for additional ", " for help", " for assistance ", " for details"),
    ),
    (" contact ", (" contact your ", " contact the ")),
    (" see http", (" see http",)),
    (" (host ", (" (host ",)),
    (" id", (" (message id", " [message id")),
    ("message-id", (" (message-id", " [message-id", " message-id:")),
)

# How Python shows a reply: {'joe@example.com': (550, b'5.1.1 no such user')}.
_find_python_reply: Final = re.compile(r"\(([245]\d\d), b['\"]").search
_LONGEST_WRAPPING: Final = 200
# How Outlook shows it in an error box, in any language: "..., Protocol: SMTP, Server Response: '550 ...', Port: 25,
# Secure (SSL): No, ..., Error Number: 0x800CCC79".
_OUTLOOK_ERROR: Final = "0x800ccc"
_find_quoted_reply: Final = re.compile(r"'(?=[245]\d\d[ -])").search

# The first line of several: RFC 5321 section 4.2.1.
_find_continued: Final = re.compile(r"-(?<=([245]\d\d)-)(?<!\S....)([245]\.\d{1,3}\.\d{1,3} )?").search

_has_code: Final = re.compile(r"[45]\d\d[ -]|[45]\.\d{1,3}\.\d").search

_FOLLOW_UPS: Final = (" 503", " 554 5.5.1", " 554 error: no valid")
_SHORTEST_REPLY: Final = 12
_ACCENTS: Final = dict.fromkeys(range(0x300, 0x370))
# Endings that make a name with dots a host name rather than two sentences without a blank between them.
_ENDINGS: Final = frozenset(
    [
        "com",
        "net",
        "org",
        "edu",
        "gov",
        "mil",
        "int",
        "info",
        "biz",
        "name",
        "arpa",
        "example",
        "invalid",
        "test",
        "local",
        "lan",
        "internal",
        "localdomain",
        "mobi",
        "asia",
        "online",
        "site",
        "shop",
        "app",
        "dev",
        "cloud",
        "email",
        "mail",
    ]
)


def examined(text: str) -> str:
    """Return the part of a reply that is looked at."""
    if len(text) <= MAX_HEAD + MAX_TAIL:
        return text
    return f"{text[:MAX_HEAD]} {text[-MAX_TAIL:]}"


def fold(text: str) -> str:
    """Return the text in one case, without accents and folds; a change of case or a fold never changes the result."""
    text = " ".join(text.split())
    if text.isascii():
        return text.lower()
    # Upper case first: it joins letters that lower case keeps apart (dotless i, long s, final sigma).
    plain = unicodedata.normalize("NFKD", text.upper().casefold()).translate(_ACCENTS)
    return unicodedata.normalize("NFC", plain)


def joined(folded: str) -> str:
    """Return a folded reply of several lines as one, without the code and status that each of them repeats."""
    found = _find_continued(folded)
    if found is None:
        return folded
    code, status = found[1], found[2] or ""
    begin, rest = folded[: found.start()], folded[found.end() :]
    for repeated in (f" {code}-{status}", f" {code} {status}", f" {code}-", f" {code} "):
        rest = rest.replace(repeated, " ")
    return f"{begin} {status}{rest}"


def unwrapped(folded: str) -> str:
    """Return a folded reply as the server wrote it where a program shows it as data."""
    found = _find_python_reply(folded, 0, _LONGEST_WRAPPING) if ", b" in folded else None
    if found:
        return f"{found[1]} {folded[found.end() :]}"
    quoted = _find_quoted_reply(folded) if _OUTLOOK_ERROR in folded else None
    end = folded.find("', ", quoted.end()) if quoted else -1
    return folded[quoted.end() : end] if quoted and end > 0 else folded


def first_reply(folded: str, start: int = 0) -> str:
    """Return folded text without the replies that only follow from a refusal before them.

    After a refused RCPT a pipelining sender's DATA is answered with 503, or with 554 "no valid recipients"
    (RFC 2920 section 3.1). Reports quote these too; they say nothing new.

    Args:
        start: Where the first reply begins.
    """
    if " 503" not in folded and " 554 " not in folded:
        return folded
    for follow_up in _FOLLOW_UPS:
        found = folded.find(follow_up, start + _SHORTEST_REPLY)
        if found > 0:
            behind = found + len(follow_up)
            if folded[behind : behind + 1] in (" ", "-") and _has_code(folded, start, found):
                folded = folded[:found]
    return folded


def tokens(folded: str) -> list[str]:
    """Return a folded reply cut at blanks and at every sign that is no part of a name; `END` ends a sentence."""
    if folded.isascii():
        plain = folded.encode("ascii").translate(_BLANKS).decode("ascii")
    else:
        plain = _blank_out(" ", folded.translate(_WIDE_ENDS))
    return f"{plain} ".replace(". ", " . ").split()


def clauses(folded: str) -> str:
    """Return folded text without paths of links and with an end before each sentence that has none of its own.

    What names a host in brackets at the end ("user unknown (host mx.example.com)") is a sentence as well.
    """
    folded = without_paths(folded)
    if "-mta: dns;" in folded:
        folded = folded.replace("-mta: dns;", "-mta:")
    for word, openings in _OPENINGS:
        if word in folded:
            for opening in openings:
                folded = folded.replace(opening, f" {END}{opening}")
    return folded


def without_paths(folded: str) -> str:
    """Return folded text with the host of each link only: a page about all refusals is "help_spam" whatever happened.

    What follows a path is kept: "?p=NoSuchUser" names the refusal.
    """
    if "://" not in folded and "www." not in folded:
        return folded
    return _link.sub(lambda link: f"{link[1]} {END} " if link[0][-1] in ".;" else f"{link[1]} ", folded)


def is_wide(text: str) -> bool:
    """Return whether words may stand without blanks between them (Chinese, Japanese, Korean, Thai)."""
    return _has_wide(text) is not None


def sign_of(token: str) -> str | None:
    """Return the sign for an address or an IPv4 address, "" for a number or nothing at all, None for all else."""
    if ADDRESS in token:
        return ADDRESS
    if _is_number(token):
        return IP if _is_ipv4(token) else ""
    return None


def is_host(token: str) -> bool:
    """Return whether a folded token with a dot is the name of a host."""
    ending = token.rpartition(".")[2]
    return ending in _ENDINGS or (len(ending) == 2 and ending.isalpha())


def without_edges(token: str) -> str:
    """Return a token without the dots and hyphens around it."""
    return token.strip(_INNER)
