"""From a text to the entries of the catalogue that it speaks of, the most telling first."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from postloop.domain.diagnosis.catalogue import Entry, catalogue, providers
from postloop.domain.diagnosis.statuses import STATUS, class_entry, status_entry

MAX_CHARS: Final = 8_192
"""What is behind this in a text is not looked at; a server's reply is far shorter."""

# A reply code stands at the start, or where a report says that a server answered.
_replies: Final = re.compile(
    r"(?:^|[:;>\[(]\s*|(?:code|error|status|smtp|said|reply|kode|galat)\s+)([2-5]\d\d)(?=[\s\-#:;.,)\]]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_numbered: Final = re.compile(r"\b(Send|Deliver)Status\W{0,3}(\d{1,4})\b", re.IGNORECASE)
_names: Final = re.compile(r"(?<![\w.])[a-z]+(?:_[a-z]+)+(?![\w])")
_blanks: Final = re.compile(r"[\s_]+")
_gaps: Final = re.compile(r"[\s-]+")
# How people write "any": 5.7.x, 5.7.*.
_any_detail: Final = re.compile(r"(?<=^[245x]\.\d)\.[x*]$")


class Rank(IntEnum):
    """How much a finding tells: what is lower outweighs the others in the same text."""

    API_CODE = 1
    PROVIDER_NAME = 2
    PROVIDER_PHRASE = 3
    PROVIDER_STATUS = 4
    SMTP_PHRASE = 5
    UNKNOWN_API_CODE = 6
    STATUS = 7
    NUMBERED = 8
    NAME = 9
    UNKNOWN_STATUS = 10
    NAME_PATTERN = 11
    SEND_PHRASE = 12
    API_CLASS = 13
    VAGUE_STATUS = 14
    REPLY = 15
    TOPIC_PHRASE = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """An entry that a text speaks of; `code` as it stands there, "" for a word or phrase.

    `known` is False where the entry is only the nearest class of the code.
    """

    entry: Entry
    code: str
    rank: Rank
    position: int = 0
    known: bool = True


def recognise(text: str, *, provider: str = "") -> list[Finding]:
    """Return what a text speaks of, the most telling first; nothing where nothing is recognised.

    `provider` is the mailbox provider that answered, if the caller knows it; else the text may tell.
    """
    plain = text.strip()[:MAX_CHARS]
    alone = named(plain)
    if alone is not None:
        return [Finding(alone, _code_of(alone, plain), _RANKS_ALONE.get(alone.family, _api_rank(alone)))]
    speaker = provider if provider in providers() else _speaker(plain.lower())
    found = [
        *_api_codes(plain),
        *_status_codes(plain, speaker),
        *_provider_names(plain),
        *_numbers(plain),
        *_words(plain),
        *_reply_codes(plain),
    ]
    found += _phrases(plain, speaker, with_send=not any(finding.rank in _OF_SERVERS for finding in found))
    return sorted(found, key=lambda finding: (finding.rank, finding.position))


_RANKS_ALONE: Final = {
    "send_status": Rank.NUMBERED,
    "deliver_status": Rank.NUMBERED,
    "reply": Rank.REPLY,
    "class": Rank.REPLY,
}
_OF_SERVERS: Final = {Rank.STATUS, Rank.UNKNOWN_STATUS, Rank.PROVIDER_STATUS, Rank.VAGUE_STATUS, Rank.REPLY}


def named(text: str) -> Entry | None:
    """Return the entry that a text names and nothing else."""
    lowered = _any_detail.sub("", text.lower())
    names = _entries_by_name()
    return names.get(lowered) or names.get(_gaps.sub("_", lowered)) or _entries_by_last_part().get(lowered)


def _speaker(lowered: str) -> str:
    """Return the provider that a text comes from or is about: the one that is named first."""
    places = [
        (place, name)
        for name, words in catalogue().markers.items()
        for word in words
        if (place := _place(lowered, word)) >= 0
    ]
    return min(places)[1] if places else ""


def _api_codes(text: str) -> Iterator[Finding]:
    for match in _api_code().finditer(text):
        entry = named(match[0])
        if entry is None:
            yield Finding(
                _entries_by_name()[match[1].lower()],
                match[0],
                Rank.UNKNOWN_API_CODE,
                match.start(),
                known=False,
            )
        else:
            yield Finding(entry, entry.key, _api_rank(entry), match.start())


def _api_rank(entry: Entry) -> Rank:
    return Rank.API_CLASS if entry.vague else Rank.API_CODE


def _status_codes(text: str, provider: str) -> Iterator[Finding]:
    for match in STATUS.finditer(text):
        entry = status_entry(match, provider)
        if entry is None:
            yield Finding(class_entry(match), match[0], Rank.UNKNOWN_STATUS, match.start(), known=False)
            continue
        rank = Rank.VAGUE_STATUS if entry.vague else Rank.STATUS
        yield Finding(
            entry, match[0], Rank.PROVIDER_STATUS if entry.family == provider else rank, match.start()
        )


def _provider_names(text: str) -> Iterator[Finding]:
    for match in _provider_name().finditer(text):
        yield Finding(_entries_by_name()[match[0].lower()], match[0], Rank.PROVIDER_NAME, match.start())
    # A name alone may be typed in small letters; in a text those would be other words.
    typed = text if any(char.isspace() for char in text) else text.upper()
    for entry, seek in _patterns():
        for match in seek.finditer(typed):
            yield Finding(entry, match[0].strip("()"), Rank.NAME_PATTERN, match.start())


def _numbers(text: str) -> Iterator[Finding]:
    entries = catalogue().entries
    for match in _numbered.finditer(text):
        kind = match[1].capitalize()
        entry = entries.get((f"{kind.lower()}_status", str(int(match[2]))))
        near = entries["class", f"{kind}Status"]
        code = f"{kind}Status {match[2]}"
        yield Finding(entry or near, code, Rank.NUMBERED, match.start(), known=entry is not None)


def _words(text: str) -> Iterator[Finding]:
    for match in _names.finditer(text):
        entry = _entries_by_name().get(match[0])
        if entry is not None:
            yield Finding(entry, _code_of(entry, match[0]), Rank.NAME, match.start())


def _reply_codes(text: str) -> Iterator[Finding]:
    entries = catalogue().entries
    for match in _replies.finditer(text):
        entry = entries.get(("reply", match[1]))
        near = entries["class", f"{match[1][0]}xx"]
        yield Finding(entry or near, match[1], Rank.REPLY, match.start(1), known=entry is not None)


def _phrases(text: str, provider: str, *, with_send: bool) -> Iterator[Finding]:
    plain = _blanks.sub(" ", text.lower())
    for entry, phrases in _phrases_of_entries():
        if entry.family == "send" and not with_send:
            continue
        found = [p for p in phrases if _is_in(plain, p) and (p.of_any_server or entry.family == provider)]
        if found:
            rank = _PHRASE_RANKS.get(entry.family, Rank.PROVIDER_PHRASE)
            code = entry.key if rank is Rank.PROVIDER_PHRASE else ""
            if entry.vague:
                rank = Rank.API_CLASS
            # Of two phrases the longer one says more.
            yield Finding(entry, code, rank, -max(len(phrase.text) for phrase in found))


_PHRASE_RANKS: Final = {
    "tencent_smtp": Rank.SMTP_PHRASE,
    "send": Rank.SEND_PHRASE,
    "topic": Rank.TOPIC_PHRASE,
}


def _code_of(entry: Entry, text: str) -> str:
    """Return what to call a code when handing it over: words and topics are none."""
    if entry.family in ("send", "reason", "topic", "tencent_smtp"):
        return ""
    return text if entry.family in ("enhanced", "class") else entry.name.removeprefix(f"{entry.family} ")


@cache
def _entries_by_name() -> dict[str, Entry]:
    """Return the entries by every name that they have, in lower case; the first of two has a name."""
    names: dict[str, Entry] = {}
    for entry in catalogue().entries.values():
        own = [entry.name, *entry.aliases]
        if entry.family in ("send_status", "deliver_status") or not STATUS.fullmatch(entry.key):
            own.append(entry.key)
        for name in own:
            names.setdefault(name.lower(), entry)
    return names


@cache
def _entries_by_last_part() -> dict[str, Entry]:
    """Return the API's entries by what stands behind the dot, where only one has it: `WithOutPermission`."""
    named = [
        (entry.key.rpartition(".")[2].lower(), entry)
        for entry in catalogue().family("tencent_api")
        if "." in entry.key
    ]
    counts = Counter(part for part, _ in named)
    return {part: entry for part, entry in named if counts[part] == 1}


@cache
def _api_code() -> re.Pattern[str]:
    """A code of the API: one of its classes, and mostly a name behind the dot."""
    classes = sorted((e.key for e in catalogue().family("tencent_api") if "." not in e.key), key=len)
    return re.compile(rf"(?<![\w.])({'|'.join(reversed(classes))})(?:\.([A-Za-z]\w*))?(?!\w)", re.IGNORECASE)


@cache
def _provider_name() -> re.Pattern[str]:
    """The short names that providers write into replies, such as TSS04; in their own spelling only."""
    names = [
        name for e in _of_providers() for name in (e.key, *e.aliases) if re.fullmatch(r"[\w-]{4,}", name)
    ]
    return re.compile(rf"(?<![\w.])(?:{'|'.join(sorted(names, key=len, reverse=True))})(?!\w)", re.ASCII)


@cache
def _patterns() -> list[tuple[Entry, re.Pattern[str]]]:
    return [(e, re.compile(rf"(?<!\w){e.pattern}(?!\w)")) for e in _of_providers() if e.pattern]


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words that stand for an entry; their parts must all be in a text."""

    text: str
    of_any_server: bool

    @property
    def parts(self) -> list[str]:
        return self.text.split(" & ")


@cache
def _phrases_of_entries() -> list[tuple[Entry, list[_Phrase]]]:
    return [
        (
            entry,
            [
                *(_Phrase(text, of_any_server=True) for text in entry.phrases),
                *(_Phrase(text, of_any_server=False) for text in entry.provider_phrases),
            ],
        )
        for entry in catalogue().entries.values()
        if entry.phrases or entry.provider_phrases
    ]


def _is_in(plain: str, phrase: _Phrase) -> bool:
    return all(_place(plain, part) >= 0 for part in phrase.parts)


def _place(plain: str, words: str) -> int:
    """Return where words stand in a text, not as a part of other words; -1 if nowhere."""
    start = plain.find(words)
    while start >= 0:
        end = start + len(words)
        before, after = plain[start - 1 : start], plain[end : end + 1]
        if not (before.isalnum() or after.isalnum()):
            return start
        start = plain.find(words, end)
    return -1


def _of_providers() -> list[Entry]:
    return [entry for name in providers() for entry in catalogue().family(name)]
