"""Disabling an endpoint: nobody is left untold by a worker that ends meanwhile."""

from __future__ import annotations

from typing import Any, cast

import pytest

from postloop.adapters.secret_box import SecretBox
from postloop.domain.webhook.notice import Notice
from postloop_streams.patience import AbandonedError
from postloop_streams.webhooks.app import WebhooksApp
from postloop_streams.webhooks.directory import EndpointBook
from tests.unit.contracts.webhooks import endpoint


class Told:
    """An intake that notes what is told."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    async def notice(self, notice: Notice) -> None:
        self.notices.append(notice)


async def _abandoned(_: Any) -> None:
    raise AbandonedError("the worker stops")


def worker() -> tuple[WebhooksApp, Told]:
    """Return a worker that stops before the broker has what became of the endpoint."""
    made: Any = object.__new__(WebhooksApp)
    made._box, made._intake, made._patience = SecretBox([b"k" * 32]), Told(), _abandoned
    made._book = EndpointBook(made._box)
    made._book.directory.put(endpoint())
    made.named = lambda topic: topic
    return cast(WebhooksApp, made), made._intake


async def test_a_worker_that_stops_before_it_is_written_down_has_told_and_the_next_tells_the_same() -> None:
    told = []
    for app, intake in (worker(), worker()):
        with pytest.raises(AbandonedError):
            await app._disable("ep_1", "gone")
        told += intake.notices
    assert [notice.type for notice in told] == ["webhook.endpoint_disabled"] * 2
    assert told[0].event_id == told[1].event_id
