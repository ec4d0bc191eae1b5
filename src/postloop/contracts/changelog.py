"""Records that every changelog of a role has beside its state."""

from __future__ import annotations

from typing import Final

MARKER_KEY: Final = "marker"
"""Written by a new owner, who reads up to it."""
RESTORED_KEY: Final = "restored"
"""That a partition's changelog holds everything there is."""
RESTORED_HEADER: Final = ("restored", b"clickhouse")
"""On a record that came from ClickHouse: it need not go back there."""
