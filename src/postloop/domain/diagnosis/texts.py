"""The words of the diagnosis: one file a language; what a language lacks is said in English."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from postloop.domain.diagnosis.catalogue import Entry, read_toml

DEFAULT_LANGUAGE: Final = "en"


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of one language."""

    lang: str
    tables: dict[str, Any]

    def meaning(self, entry: Entry) -> str:
        """Return what an entry means, in a sentence."""
        return self.text(entry.family, entry.key)

    def text(self, table: str, key: str) -> str:
        """Return one text.

        Raises:
            KeyError: not even English has it.
        """
        return str(self._value(table, key))

    def has(self, table: str, key: str) -> bool:
        """Return whether there is such a text."""
        return key in self.tables[table] or key in _english()[table]

    def cause(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Return a cause and its checks."""
        value = self._value("causes", name)
        return value["text"], tuple(value["checks"])

    def _value(self, table: str, key: str) -> Any:
        own = self.tables.get(table, {})
        return own[key] if key in own else _english()[table][key]


@cache
def languages() -> tuple[str, ...]:
    """Return the languages that there are, as codes: en, id."""
    folder = files("postloop.domain.diagnosis") / "languages"
    names = [path.name for path in folder.iterdir() if path.name.endswith(".toml")]
    return tuple(sorted(name.removesuffix(".toml") for name in names))


def texts(lang: str) -> Texts:
    """Return the words of a language; `id-ID` is `id`, a language that there is not is English."""
    code = lang.replace("_", "-").partition("-")[0].strip().lower()
    if code not in languages():
        code = DEFAULT_LANGUAGE
    return Texts(code, _tables(code))


def _english() -> dict[str, Any]:
    return _tables(DEFAULT_LANGUAGE)


@cache
def _tables(code: str) -> dict[str, Any]:
    return read_toml("languages", code)
