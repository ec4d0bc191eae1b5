"""Which view answers: the one that is whole, until a newer one is. No Kafka, no clock, no thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from postloop.client.records import Change
from postloop.client.view import BlockView

MADE_ANEW: Final = "its topic was made anew and has not been filled again yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """When a topic that was made anew counts as filled again. Who fills it writes no mark at the end.

    Attributes:
        quiet_s: No record came for this long,
        longest_s: or it was read to its end this long ago, for a topic that is never quiet.
    """

    quiet_s: float = 5.0
    longest_s: float = 30.0


class Replica:
    """The view that answers and the one that is being filled.

    A first view answers as soon as its topic was read to the end. After that `start_over` fills another one, while
    the former goes on answering and ages. When the former blocks anybody, the new one takes its place only after it
    settled and holds something: a broker that comes back empty must not release everybody.

    Attributes:
        serving: None before the first view is whole.
        heard_s: Up to when `serving` holds everything, in seconds of a steady clock.
        skipped_count: Records that could not be read, over all views.
        waits_for: Why a new view is not in its place yet, as far as that can be told.
    """

    def __init__(self, *, hash_key: bytes | None = None, settling: Settling | None = None) -> None:
        self._hash_key = hash_key
        self._settling = settling or Settling()
        self.serving: BlockView | None = None
        self.heard_s = 0.0
        self.skipped_count = 0
        self.start_over()

    def start_over(self) -> None:
        """Fill a new view, from the beginning of the topic."""
        self._filling: BlockView | None = BlockView(hash_key=self._hash_key)
        self._taken_s: float | None = None
        self._whole_s: float | None = None
        self.waits_for = ""

    def take(self, changes: Iterable[Change | None], *, now_s: float) -> None:
        """Take in records in their order; None is one that could not be read and changes nothing."""
        view = self.serving if self._filling is None else self._filling
        assert view is not None, "there is always one of the two"
        for change in changes:
            self._taken_s = now_s
            if change is None:
                self.skipped_count += 1
            else:
                view.apply(change)

    def answered(self, *, since_s: float, is_whole: bool, now_s: float, now_ms: int) -> None:
        """Note that every partition answered a fetch which was sent after `since_s`.

        Args:
            is_whole: Whether every partition was read to its end once since `start_over`.
        """
        if self._filling is not None:
            if not is_whole or not self._may_answer(now_s=now_s, now_ms=now_ms):
                return
            self.heard_s = since_s  # first: a view must never be seen with the age of the one before
            self.serving, self._filling, self.waits_for = self._filling, None, ""
        self.heard_s = since_s

    def _may_answer(self, *, now_s: float, now_ms: int) -> bool:
        if self.serving is None or not self.serving.has_any_in_force(now_ms=now_ms):
            return True
        if self._whole_s is None:
            self._whole_s = now_s
        self.waits_for = MADE_ANEW
        if self._taken_s is None:
            return False
        is_quiet = now_s - self._taken_s >= self._settling.quiet_s
        return is_quiet or now_s - self._whole_s >= self._settling.longest_s
