"""What SET and USE leave behind for the later requests of the same `session_id`."""

from collections import OrderedDict
from dataclasses import dataclass, field

MAX_SESSIONS = 1000


@dataclass(frozen=True)
class SessionState:
    """Settings and current database of one session."""

    settings: dict[str, str] = field(default_factory=dict)
    database: str | None = None


class Sessions:
    """The newest sessions by use; the oldest is forgotten."""

    def __init__(self, limit: int = MAX_SESSIONS) -> None:
        self._limit = limit
        self._states: OrderedDict[str, SessionState] = OrderedDict()

    def get(self, session_id: str | None) -> SessionState:
        """Return the state of a session; an unknown one has none."""
        if session_id is None or session_id not in self._states:
            return SessionState()
        self._states.move_to_end(session_id)
        return self._states[session_id]

    def put(self, session_id: str, state: SessionState) -> None:
        """Keep the state of a session."""
        self._states[session_id] = state
        self._states.move_to_end(session_id)
        while len(self._states) > self._limit:
            self._states.popitem(last=False)
