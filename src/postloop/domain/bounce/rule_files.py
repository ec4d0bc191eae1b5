"""Reading the rule files: tables of TOML into rules and their phrases."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from postloop.domain.bounce.reasons import FACTS, Reason
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.text import fold

TEXT_FILES: Final = ("own", "sender", "volume", "message", "recipient", "queue", "policy")
"""Files of the text rules that are asked before the enhanced status, in this order."""
LATE_FILES: Final = ("transport", "vague", "last")
"""Files of the text rules that are asked after it."""
GENERAL: Final = "general"
STRONG: Final = "strong"
WEAK: Final = "weak"
"""Tables of statuses: general ones, those that outrank words about recipients, those that say less than words."""

_OWN_DETAIL: Final = 3
"""Digits of a detail that a provider made up."""

Table = dict[str, Any]
Row = tuple[Rule, str]


class RuleFileError(ValueError):
    """A rule file contradicts itself; a mistake of whoever edited it."""


def read(name: str) -> Table:
    """Return a rule file."""
    return tomllib.loads((files(__package__) / "rules" / f"{name}.toml").read_text(encoding="utf-8"))


def families(table: Table) -> dict[str, frozenset[str]]:
    """Return the folded words of each family of words.toml, all languages together."""
    return {
        name: frozenset(fold(word) for line in by_language.values() for word in line.split())
        for name, by_language in table.items()
    }


def provider_rows(providers: Table) -> Iterator[Row]:
    """Yield the phrases of providers.toml with their rules, in the order in which they count."""
    for provider, table in providers.items():
        rules = {key: value for key, value in table.items() if key in FACTS}
        yield from _rows(rules, layer=provider, provider=provider)


def text_rows() -> Iterator[Row]:
    """Yield the phrases that are asked before the enhanced status."""
    for name in TEXT_FILES:
        yield from _rows(read(name), layer="text")


def late_rows() -> Iterator[Row]:
    """Yield the phrases that are asked after it."""
    for name in LATE_FILES:
        yield from _rows(read(name), layer=name)


def doubt_rows() -> Iterator[Row]:
    """Yield the phrases that keep a verdict from being hard; their reason is never used."""
    for name, phrases in read("doubt").items():
        for phrase in phrases:
            yield Rule(f"doubt.{name}", "unknown"), phrase


def _rows(table: Table, *, layer: str, provider: str = "") -> Iterator[Row]:
    for reason, rules in table.items():
        for name, value in rules.items():
            fields = dict(value) if isinstance(value, dict) else {"phrases": value}
            phrases = fields.pop("phrases")
            rule = _rule(f"{layer}.{reason}.{name}", known_reason(reason), provider, fields)
            for phrase in phrases:
                yield rule, phrase


def _rule(name: str, reason: Reason, provider: str, fields: Table) -> Rule:
    rule = Rule(
        name,
        reason,
        provider,
        codes=tuple(fields.pop("codes", ())),
        statuses=tuple(fields.pop("statuses", ())),
        stages=tuple(fields.pop("stages", ())),
        is_proof=fields.pop("proof", False),
        is_declared=fields.pop("declared", False),
        may_be_hard=fields.pop("hard", True),
    )
    if fields:
        raise RuleFileError(f"{name}: {', '.join(fields)} is no condition of a rule")
    return rule


def status_rules(providers: Table) -> Iterator[tuple[tuple[str, str], Rule]]:
    """Yield (general, strong, weak or provider; status without class) -> rule.

    Details of three digits are no registered ones (RFC 5248 has two): they mean the same whoever quotes them.
    """
    codes = read("codes")
    hard = set(codes["hard"]["statuses"])
    for table in (GENERAL, STRONG, WEAK):
        for status, reason in codes[table].items():
            number = status.removeprefix("x.")
            rule = Rule(f"status.{number}", known_reason(reason), may_be_hard=status in hard)
            yield (table, number), rule
    for provider, rules in providers.items():
        for status, reason in rules.get("status", {}).items():
            number = status.removeprefix("x.")
            rule = Rule(f"{provider}.status.{number}", known_reason(reason), provider)
            yield (provider, number), rule
            if len(number.partition(".")[2]) >= _OWN_DETAIL:
                yield (GENERAL, number), rule


def reply_rules() -> Iterator[tuple[int, Rule]]:
    """Yield reply code -> rule."""
    codes = read("codes")
    hard = set(codes["hard"]["replies"])
    for code, reason in codes["reply"].items():
        yield int(code), Rule(f"reply.{code}", known_reason(reason), may_be_hard=int(code) in hard)


def names(providers: Table, kind: str) -> dict[str, str]:
    """Return endings of host names ("hosts") or recipient domains ("domains") -> provider."""
    return {name: provider for provider, table in providers.items() for name in table.get(kind, ())}


def known_reason(name: str) -> Reason:
    """Return a reason by its name.

    Raises:
        RuleFileError: There is no such reason.
    """
    if name not in FACTS:
        raise RuleFileError(f"{name} is not a reason")
    return name
