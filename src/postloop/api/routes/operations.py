"""`/health`, `/ready` and `/metrics`; no key is needed.

As a child of `postloop up` they tell about the whole stack; the same paths with `/api` behind tell about this process.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from prometheus_client import generate_latest
from starlette.responses import JSONResponse, Response

from postloop.adapters.health_server import METRICS_CONTENT_TYPE
from postloop.api.state import Shared

router = APIRouter(tags=["operations"])
_AWAY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"description": "Not so; the document says why.", "content": {"application/json": {}}}
}


@router.get("/health", summary="Whether the process lives", responses=_AWAY)
async def health(api: Shared) -> Response:
    """Return each part and whether it is in order; 503 when the process is stuck."""
    seen = await api.health.whole()
    return JSONResponse(seen.document, 200 if seen.is_live else 503)


@router.get("/ready", summary="Whether every part that it needs is there", responses=_AWAY)
async def ready(api: Shared) -> Response:
    """Return the same document; 503 while a part is missing, with its name."""
    seen = await api.health.whole()
    return JSONResponse(seen.document, 200 if seen.is_ready else 503)


@router.get("/metrics", summary="Figures in Prometheus' text format", response_class=Response)
async def metrics(api: Shared) -> Response:
    """Return the metrics, of the whole stack under `postloop up`."""
    page = await api.health.whole_metrics(generate_latest(api.metrics.registry))
    return Response(page, headers={"Content-Type": METRICS_CONTENT_TYPE})


@router.get("/health/api", include_in_schema=False)
async def own_health(api: Shared) -> Response:
    seen = api.health.own()
    return JSONResponse(seen.document, 200 if seen.is_live else 503)


@router.get("/ready/api", include_in_schema=False)
async def own_ready(api: Shared) -> Response:
    seen = api.health.own()
    return JSONResponse(seen.document, 200 if seen.is_ready else 503)


@router.get("/metrics/api", include_in_schema=False)
async def own_metrics(api: Shared) -> Response:
    return Response(generate_latest(api.metrics.registry), headers={"Content-Type": METRICS_CONTENT_TYPE})
