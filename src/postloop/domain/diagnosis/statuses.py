"""Enhanced status codes (RFC 3463): which entry a code belongs to, by provider, class and range."""

import re
from functools import cache
from typing import Final

from postloop.domain.diagnosis.catalogue import Entry, catalogue, providers

# Not inside a longer number, a version or an IP address. `X` is how the registry writes "any class".
STATUS: Final = re.compile(r"(?<![\w.])([245Xx])\.(\d{1,3})\.(\d{1,3})(?!\w|\.\d)")
_is_key: Final = re.compile(r"([245X])\.(\d{1,3})\.(\d{1,3})(?:-(\d{1,3}))?").fullmatch

Place = tuple[str, str, int]
"""Family, class and subject joined (`5.7`), detail."""


def status_entry(status: re.Match[str], provider: str) -> Entry | None:
    """Return what a code means: at the provider that speaks, else in the registry, else at any provider."""
    spoken = (provider,) if provider else ()
    for family in (*spoken, "enhanced", *providers()):
        entry = entry_at(status, family)
        if entry is not None:
            return entry
    return None


def entry_at(status: re.Match[str], family: str) -> Entry | None:
    """Return a family's entry for a code; one for the very class comes before one for any class."""
    group, subject, detail = status[1].upper(), status[2], int(status[3])
    for klass in dict.fromkeys((group, "X")):
        entry = _places().get((family, f"{klass}.{int(subject)}", detail))
        if entry is not None:
            return entry
    return None


def class_entry(status: re.Match[str]) -> Entry:
    """Return the nearest class of a code that nobody lists: its subject, else its first digit."""
    entries = catalogue().entries
    subject = entries.get(("class", f"X.{int(status[2])}"))
    return subject or entries["class", f"{'5' if status[1] in 'Xx' else status[1]}xx"]


@cache
def _places() -> dict[Place, Entry]:
    """Return where each status entry stands; of two that overlap the narrower wins."""
    places: dict[Place, tuple[int, Entry]] = {}
    for entry in catalogue().entries.values():
        key = _is_key(entry.key)
        if key is None:
            continue
        first, last = int(key[3]), int(key[4] or key[3])
        for detail in range(first, last + 1):
            place = (entry.family, f"{key[1]}.{key[2]}", detail)
            if place not in places or last - first < places[place][0]:
                places[place] = (last - first, entry)
    return {place: entry for place, (_, entry) in places.items()}
