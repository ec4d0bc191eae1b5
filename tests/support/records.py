"""Records as a recorder takes them in, without a broker."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class FakeRecord:
    """A consumed record; it arrived when the tests began."""

    offset: int
    value: bytes | None
    timestamp: int = int(datetime.now(UTC).timestamp() * 1000)
    key: bytes | None = b"k"
