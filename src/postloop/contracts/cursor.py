"""Cursors of lists: where the next page begins, as a text that means nothing to whoever keeps it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

from postloop.domain.errors import DataError

MAX_CURSOR_CHARS: Final = 12_000
"""Two identifiers of the longest kind, in four bytes a character and as Base64."""
_INT64: Final = 2**63


def cursor_of(place: Sequence[Any]) -> str:
    """Return the place of the last thing that was seen: numbers, texts and None."""
    return base64.urlsafe_b64encode(json.dumps(list(place), ensure_ascii=False).encode()).decode().rstrip("=")


def place_of(cursor: str, *kinds: type | tuple[type, ...]) -> list[Any]:
    """Return what `cursor_of` was given.

    Args:
        cursor: What somebody sent.
        kinds: Of each part, as `isinstance` takes them.

    Raises:
        DataError: `invalid_cursor`, it was not made here, or for another list.
    """
    try:
        padded = cursor[:MAX_CURSOR_CHARS] + "=" * (-len(cursor[:MAX_CURSOR_CHARS]) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        json.dumps(place, ensure_ascii=False).encode()  # half a surrogate pair cannot be asked for
    except (ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or not _fits(place, kinds):
        raise DataError("invalid_cursor", "cursor", "cursor is what next_cursor of the page before said")
    return place


def _fits(place: list[Any], kinds: Sequence[type | tuple[type, ...]]) -> bool:
    return len(place) == len(kinds) and all(
        isinstance(part, kind)
        and not isinstance(part, bool)
        and (not isinstance(part, int) or -_INT64 <= part < _INT64)
        for part, kind in zip(place, kinds, strict=True)
    )
