"""Puts the application together. A new router is one more line in `routes/__init__.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

from postloop.adapters.installed import installed_version
from postloop.api import openapi, problems
from postloop.api.body_limit import BodyLimit
from postloop.api.head import HeadAsGet
from postloop.api.observing import Observing
from postloop.api.routes import BODY_LIMITS, ROUTERS
from postloop.api.state import make_api, working
from postloop.settings import Settings

_TITLE: Final = "Postloop"


def create_app(settings: Settings, *, stack_url: str = "") -> FastAPI:
    """Return the application; nothing is connected before it starts.

    Args:
        stack_url: Where the supervisor of `postloop up` tells how the whole is; empty: there is none.
    """
    parts = make_api(settings, stack_url=stack_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with working(parts):
            yield

    app = FastAPI(
        title=_TITLE,
        version=installed_version(),
        summary="Why did this message fail, why is this address blocked, lift it.",
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,  # their pages load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,  # a body of which nothing is said is JSON; a browser sends no key by itself
    )
    app.state.api = parts
    problems.register(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(BodyLimit, limits=BODY_LIMITS)
    app.add_middleware(Observing, metrics=parts.metrics)
    app.add_middleware(HeadAsGet)
    openapi.describe(app, [route for router in ROUTERS for route in router.routes])
    return app


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document without a running process."""
    return create_app(settings).openapi()
