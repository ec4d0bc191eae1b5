"""The catalogue of codes: what is known of each beside its words, read once from the files beside this module."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from postloop.domain.diagnosis.model import Retry, Side, Step

_FILES: Final = ("causes", "tencent", "smtp", "providers", "words")
_PREFIXES: Final = {"send_status": "SendStatus ", "deliver_status": "DeliverStatus "}


@dataclass(frozen=True, slots=True)
class Entry:
    """A code or word of the catalogue.

    `causes` are names, likeliest first. `sources` are addresses. `reason` is the bounce reason that the code
    speaks for ("" if none). `vague` codes say so little that any other code in a text counts more; `success`
    codes exist with class 2 too. `phrases` are recognised in a text, `provider_phrases` only where the
    provider speaks; `aliases` are further names, `pattern` is a regular expression for a family of names.
    """

    family: str
    key: str
    side: Side
    retry: Retry
    causes: tuple[str, ...]
    sources: tuple[str, ...]
    reason: str = ""
    vague: bool = False
    success: bool = False
    phrases: tuple[str, ...] = ()
    provider_phrases: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def name(self) -> str:
        """The name by which the entry is listed and can be asked for."""
        if self.family in providers():
            return f"{self.family} {self.key}"
        return _PREFIXES.get(self.family, "") + self.key


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything but the words."""

    entries: Mapping[tuple[str, str], Entry]
    step_of: Mapping[str, Step]
    markers: Mapping[str, tuple[str, ...]]

    def family(self, name: str) -> Iterator[Entry]:
        """Yield the entries of a family in the order of its file."""
        return (entry for (family, _), entry in self.entries.items() if family == name)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue; the first call reads its files."""
    data: dict[str, Any] = {}
    for name in _FILES:
        data |= read_toml("codes", name)
    sources: dict[str, str] = data.pop("sources")
    steps: dict[Step, list[str]] = data.pop("steps")
    entries = {
        (family, key): _entry(family, key, fields, table["sources"], sources)
        for family, table in data.items()
        for key, fields in table["codes"].items()
    }
    return Catalogue(
        entries=entries,
        step_of={cause: step for step, causes in steps.items() for cause in causes},
        markers={family: tuple(table["markers"]) for family, table in data.items() if "markers" in table},
    )


def providers() -> tuple[str, ...]:
    """Return the mailbox providers that have codes of their own."""
    return tuple(catalogue().markers)


def read_toml(folder: str, name: str) -> dict[str, Any]:
    """Return what a data file of this package holds."""
    path = files("postloop.domain.diagnosis") / folder / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _entry(
    family: str, key: str, fields: dict[str, Any], of_family: list[str], sources: Mapping[str, str]
) -> Entry:
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    arguments["sources"] = tuple(sources[name] for name in fields.get("sources", of_family))
    return Entry(family, key, **arguments)
