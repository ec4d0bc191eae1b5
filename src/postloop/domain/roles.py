"""The names of the roles, as in `postloop worker NAME`."""

from __future__ import annotations

from typing import Final

RECORDER: Final = "recorder"
BLOCKLIST: Final = "blocklist"
REPUTATION: Final = "reputation"
WEBHOOKS: Final = "webhooks"
ROLES: Final = (RECORDER, BLOCKLIST, REPUTATION, WEBHOOKS)
"""Those that exist in this release."""
