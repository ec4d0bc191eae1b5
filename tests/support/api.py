"""The API as a server in a thread of the test, and callers with keys."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn

from postloop.adapters.api_key_store import ApiKeyStore
from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.api.application import create_app
from postloop.domain.api_key import NewKey
from postloop.settings import Settings
from tests.support.ports import free_port
from tests.support.processes import wait_until


class ApiServer:
    """A running API. Use as a context manager.

    `api.as_account("acme").get("/v1/...")` asks with a key of its own for each account; `api.as_operator()` likewise,
    `api.nobody` without one.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.nobody = httpx.Client(base_url=self.url, timeout=30)
        self._callers: dict[str, httpx.Client] = {}
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, port=self.port, log_config=None, lifespan="on", ws="none")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started, timeout_s=20, what="the API listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (self.nobody, *self._callers.values()):
            client.close()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the API does not end"

    def wait_ready(self) -> Self:
        """Return when the API says that all it needs is there."""
        wait_until(
            lambda: self.nobody.get("/ready").status_code == 200, timeout_s=40, what="the API is ready"
        )
        return self

    def make_key(self, account: str = "", **fields: Any) -> NewKey:
        """Make a key, of an account or an operator."""
        client = connect(self.settings)
        try:
            return ApiKeyStore(client, self.settings).create(
                kind="account" if account else "operator",
                account_id=account,
                **{"expires_at": None, "now": utc_now(), **fields},
            )
        finally:
            client.close()

    def as_account(self, account: str) -> httpx.Client:
        """Return a client with a key of this account, the same at each call."""
        if account not in self._callers:
            self._callers[account] = self.with_key(self.make_key(account).text)
        return self._callers[account]

    def as_operator(self) -> httpx.Client:
        """Return a client with an operator's key."""
        return self.as_account("")

    def with_key(self, key: str) -> httpx.Client:
        """Return a client that sends this key."""
        return httpx.Client(base_url=self.url, timeout=30, headers={"Authorization": f"Bearer {key}"})
