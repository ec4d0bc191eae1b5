"""The names of the roles, as in `postloop worker NAME`."""

from __future__ import annotations

from typing import Final

RECORDER: Final = "recorder"
BLOCKLIST: Final = "blocklist"
REPUTATION: Final = "reputation"
WEBHOOKS: Final = "webhooks"
API: Final = "api"
"""A process of its own, and no role: it is asked, and reads no records to keep."""
ROLES: Final = (RECORDER, BLOCKLIST, REPUTATION, WEBHOOKS)
"""Those that exist in this release."""
