"""Numbers and times as the sentences of each language write them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

DEFAULT_LANGUAGE: Final = "en"

_Words = TypeVar("_Words")
# In numbers: the mark of thousands, and the decimal one.
_MARKS: Final = {"en": ",.", "id": ".,"}


def language_of(lang: str) -> str:
    """Return the language that is spoken for a tag: `id-ID` is `id`; one that there is not is English."""
    name = lang.replace("_", "-").partition("-")[0].strip().lower()
    return name if name in _MARKS else DEFAULT_LANGUAGE


def words_of(lang: str, words: Mapping[str, _Words]) -> _Words:
    """Return the words of the language that is spoken for a tag."""
    return words[language_of(lang)]


def number(value: int, lang: str) -> str:
    """Return `12,345`, in Indonesian `12.345`."""
    return f"{value:,}".replace(",", _MARKS[language_of(lang)][0])


def percent(rate: float, lang: str, *, digits: int = 1) -> str:
    """Return a rate as `1.5 %`, in Indonesian `1,5 %`."""
    return f"{rate * 100:.{digits}f} %".replace(".", _MARKS[language_of(lang)][1])


def moment(at_ms: int) -> str:
    """Return an instant to the minute, in UTC."""
    return f"{datetime.fromtimestamp(at_ms // 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"
