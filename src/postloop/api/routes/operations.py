"""`/health`, `/ready` and `/metrics` of the process; no key is needed."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import generate_latest
from starlette.responses import JSONResponse, Response

from postloop.adapters.health_server import METRICS_CONTENT_TYPE
from postloop.api.state import Shared

router = APIRouter(tags=["operations"])


@router.get("/health", summary="Whether the process lives")
async def health() -> Response:
    return JSONResponse({"status": "live"})


@router.get("/metrics", summary="Figures in Prometheus' text format")
async def metrics(api: Shared) -> Response:
    return Response(generate_latest(api.metrics.registry), headers={"Content-Type": METRICS_CONTENT_TYPE})
