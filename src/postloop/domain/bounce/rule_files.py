"""Reading the rule files: tables of TOML into rules and their phrases."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

from postloop.domain.bounce.reasons import FACTS, Reason
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.text import fold

TEXT_FILES: Final = ("own", "sender", "volume", "message", "recipient", "queue", "policy")
"""Files of text rules that are asked before the enhanced status, in this order."""
LATE_FILES: Final = ("transport", "vague")
"""Files of text rules that are asked after it."""
STRONG: Final = "strong"
LATE: Final = "late"
DOUBT: Final = "doubt"
"""The file of the phrases that keep a verdict from being hard."""

Table = dict[str, Any]


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


def phrase_rules(providers: Table) -> Iterator[tuple[Rule, str]]:
    """Yield every phrase with its rule, in the order in which they count: providers first, doubt last."""
    for provider, table in providers.items():
        rules = {key: value for key, value in table.items() if key in FACTS}
        yield from _of_table(rules, layer=provider, provider=provider)
    for name in TEXT_FILES:
        yield from _of_table(read(name), layer="text", provider="")
    for name in LATE_FILES:
        yield from _of_table(read(name), layer=name, provider="")
    for name, phrases in read(DOUBT).items():
        for phrase in phrases:
            yield Rule(f"{DOUBT}.{name}", None), phrase


def _of_table(table: Table, *, layer: str, provider: str) -> Iterator[tuple[Rule, str]]:
    for reason, rules in table.items():
        for name, value in rules.items():
            phrases, conditions = (value, {}) if isinstance(value, list) else (value["phrases"], dict(value))
            conditions.pop("phrases", None)
            tuples = {key: tuple(conditions.pop(key, ())) for key in ("codes", "statuses", "stages")}
            proof = conditions.pop("proof", False)
            may_be_hard = conditions.pop("hard", True)
            if conditions:
                raise RuleFileError(f"{layer}.{reason}.{name}: {', '.join(conditions)} is no condition")
            rule = Rule(f"{layer}.{reason}.{name}", known_reason(reason), provider, proof=proof, may_be_hard=may_be_hard, **tuples)
            for phrase in phrases:
                yield rule, phrase


def status_rules(providers: Table) -> Iterator[tuple[tuple[str, str], Rule]]:
    """Yield ("" or provider, status without class) -> rule."""
    for status, reason in read("status")["status"].items():
        number = status.removeprefix("x.")
        yield ("", number), Rule(f"status.{number}", known_reason(reason))
    for layer in (STRONG, LATE):
        for status, reason in read("status")[f"{layer}_status"].items():
            number = status.removeprefix("x.")
            yield (layer, number), Rule(f"status.{number}", known_reason(reason))
    for provider, table in providers.items():
        for status, reason in table.get("status", {}).items():
            number = status.removeprefix("x.")
            rule = Rule(f"{provider}.status.{number}", known_reason(reason), provider)
            yield (provider, number), rule


def reply_rules() -> Iterator[tuple[int, Rule]]:
    """Yield reply code -> rule."""
    for code, reason in read("status")["reply"].items():
        yield int(code), Rule(f"reply.{code}", known_reason(reason))


def names(providers: Table, kind: str) -> dict[str, str]:
    """Return host name endings or domains -> provider."""
    return {name: provider for provider, table in providers.items() for name in table.get(kind, ())}


def known_reason(name: str) -> Reason:
    """Return a reason by its name.

    Raises:
        RuleFileError: There is no such reason.
    """
    if name not in FACTS:
        raise RuleFileError(f"{name} is not a reason")
    return name
