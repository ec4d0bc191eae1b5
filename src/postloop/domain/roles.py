"""The names of the roles, as in `postloop worker NAME`."""

from __future__ import annotations

from typing import Final

RECORDER: Final = "recorder"
BLOCKLIST: Final = "blocklist"
WEBHOOKS: Final = "webhooks"
ROLES: Final = (RECORDER, BLOCKLIST, WEBHOOKS)
"""Those that exist in this release."""
