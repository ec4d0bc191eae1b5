"""The status page, what it shows, and the API's documentation as a page. See docs/decisions/0011."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse

from postloop.adapters.clock import utc_now
from postloop.adapters.status_reader import RATE_STEPS, StatusReader
from postloop.api import docs_page
from postloop.api.caller import Asking
from postloop.api.domain_models import DomainSummary
from postloop.api.examples import STATUS, example
from postloop.api.openapi import WITH_KEY, errors
from postloop.api.pages import page_response
from postloop.api.problems import Problem
from postloop.api.routes.domains import read_domains
from postloop.api.state import Shared

router = APIRouter(tags=["status"])

_DOMAINS: Final = 10
_CHANGES: Final = 10


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class FlowAnswer(_Answer):
    """Events stored a second in ten seconds."""

    at: datetime
    per_second: float


class EventsAnswer(_Answer):
    """How fast events are stored."""

    per_second: float = Field(description="Over the last minute")
    points: list[FlowAnswer] = Field(description="The last five minutes, the oldest first")


class TopicAnswer(_Answer):
    """When a topic was last heard."""

    topic: str
    last_occurred_at: datetime
    last_stored_at: datetime
    lag_s: float = Field(description="From its last event to now")


class ChangeAnswer(_Answer):
    """One change of the blocklist."""

    at: datetime
    change: str
    cause: str
    scope: str
    recipient: str
    reason: str
    expires_at: datetime | None


class StatusAnswer(_Answer):
    """What the status page shows beside the health of the parts, which /health tells."""

    at: datetime
    events: EventsAnswer
    topics: list[TopicAnswer]
    worst_domains: list[DomainSummary]
    blocklist_changes: list[ChangeAnswer]


@router.get("/", include_in_schema=False)
async def page() -> HTMLResponse:
    """Return the page, which holds no data: it asks for them with the key that a person gives it."""
    return page_response("status")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Return the documentation of the API, made from the OpenAPI document."""
    return docs_page.response(request.app.openapi())


@router.get(
    "/v1/status",
    summary="How the platform does, for operators",
    responses={**WITH_KEY, **errors(403), **example(STATUS)},
)
async def status(caller: Asking, api: Shared) -> StatusAnswer:
    """Tell how fast events are stored, the worst sender domains, and the latest changes of the blocklist."""
    if caller.account_id is not None:
        raise Problem(
            403, "operators_only", "The status of the platform is for operators: use an operator's key."
        )
    now = utc_now()
    flow, heard, changes, domains = await asyncio.gather(
        api.warehouse.ask(lambda client: StatusReader(client, api.settings).flow(now=now)),
        api.warehouse.ask(lambda client: StatusReader(client, api.settings).heard()),
        api.warehouse.ask(lambda client: StatusReader(client, api.settings).changes(now=now, limit=_CHANGES)),
        read_domains(api, account_id=None, limit=_DOMAINS),
    )
    per_second = sum(step.per_second for step in flow[-RATE_STEPS:]) / RATE_STEPS
    return StatusAnswer(
        at=now,
        events=EventsAnswer(per_second=per_second, points=[FlowAnswer(**asdict(step)) for step in flow]),
        topics=[TopicAnswer(**asdict(topic)) for topic in heard],
        worst_domains=domains.domains,
        blocklist_changes=[ChangeAnswer(**asdict(change)) for change in changes],
    )
