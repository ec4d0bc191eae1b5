"""All routes, one module for each thing that is asked about.

To add a router: make it in a module of this package with `APIRouter(tags=[...], responses=WITH_KEY)`, let every
route take `caller: Asking` and `api: Shared`, and add it to ROUTERS. Where a route takes a model as its body, add
`route_class=JsonRoute`. Raise `Problem` for whatever is not answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter

from postloop.api.routes import blocklist, domains, events, messages, operations, status

ROUTERS: Final[tuple[APIRouter, ...]] = (
    messages.router,
    blocklist.router,
    domains.router,
    events.router,
    status.router,
    operations.router,
)
BODY_LIMITS: Final[Mapping[str, int]] = {"/v1/events": events.MAX_BYTES}
"""Path -> the largest body in bytes, where it is not the usual."""
