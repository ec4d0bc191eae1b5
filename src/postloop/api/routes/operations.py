"""`/health`, `/ready` and `/metrics`; no key is needed.

As a child of `postloop up` they tell about the whole stack; the same paths with `/api` behind tell about this process.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from prometheus_client import generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from postloop.adapters.health_server import METRICS_CONTENT_TYPE
from postloop.api.examples import NOT_READY, READY, Example, example
from postloop.api.state import Shared

router = APIRouter(tags=["operations"])


class PartAnswer(BaseModel):
    """Whether one part is in order."""

    ok: bool
    reason: str = Field(description="Why not; empty while it is")
    since: datetime | None = Field(default=None, description="Of `ok`")


class WorkerAnswer(BaseModel):
    """Whether a worker says that it is ready."""

    ok: bool
    reason: str


class HealthAnswer(BaseModel):
    """How a process is, or under `postloop up` the stack, which tells more: addresses, restarts, memory."""

    model_config = ConfigDict(extra="allow")

    status: str = Field(description="ready, live (a part is missing), or stuck (it does not go on)")
    last_progress_s: float | None = Field(default=None, description="Since its main loop went round")
    components: dict[str, PartAnswer] = Field(description="By name")
    missing: list[str] = Field(description="The names of those that are not in order")
    workers: dict[str, WorkerAnswer] = Field(default={}, description="Those of POSTLOOP_API_WATCH, by name")


def _described(yes: Example, no: Example) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers with a HealthAnswer whether all is well or not."""
    bad = {"model": HealthAnswer, "description": "Not so; the document says why."}
    return {
        200: {"model": HealthAnswer, **example(yes)[200]},
        503: {**bad, **example(no, status=503)[503]},
    }


_STUCK: Final[Example] = {**NOT_READY, "status": "stuck", "last_progress_s": 61.0}


@router.get("/health", summary="Whether the process lives", responses=_described(READY, _STUCK))
async def health(api: Shared) -> Response:
    """Return each part and whether it is in order; 503 when the process is stuck."""
    seen = await api.health.whole()
    return JSONResponse(seen.document, 200 if seen.is_live else 503)


@router.get(
    "/ready", summary="Whether every part that it needs is there", responses=_described(READY, NOT_READY)
)
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
