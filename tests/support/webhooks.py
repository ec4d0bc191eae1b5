"""Workers of the webhooks role as real processes, and receivers in the test process that behave as told."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from postloop.cli.main import app
from tests.support.blocklist import BlocklistStack
from tests.support.brokers import Broker

MASTER_KEY = base64.b64encode(b"m" * 32).decode()
Answer = Callable[[int], int]
"""(how-manieth request with this id, from 1) -> status."""


@dataclass(frozen=True)
class Arrived:
    """One request."""

    message_id: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def verify(self, secret: str) -> None:
        """Raise unless the third-party library accepts it."""
        Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """An HTTP server on loopback. Use as a context manager.

    Args:
        answer: The status of each answer.
        hang: Until this is set no answer is given.
    """

    def __init__(self, answer: Answer = lambda number: 204, *, hang: threading.Event | None = None) -> None:
        self.answer = answer
        self.arrived: list[Arrived] = []
        self._counts: Counter[str] = Counter()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                name = headers["webhook-id"]
                receiver._counts[name] += 1
                receiver.arrived.append(Arrived(name, headers, body))
                if hang is not None:
                    hang.wait()
                status = receiver.answer(receiver._counts[name])
                self.send_response(status)
                if status != 204:
                    self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ids(self) -> set[str]:
        """Return the ids of what arrived."""
        return {one.message_id for one in self.arrived}

    def event_ids(self) -> set[str]:
        """Return the ids of the events that arrived."""
        return {one.document["data"]["event_id"] for one in list(self.arrived)}

    def wait(self, count: int, *, timeout_s: float = 30) -> list[Arrived]:
        """Wait until so many requests arrived, and return them."""
        return self.until(lambda: len(self.arrived) >= count, f"{count} requests", timeout_s=timeout_s)

    def until(self, holds: Callable[[], bool], what: str, *, timeout_s: float = 30) -> list[Arrived]:
        """Wait until something holds."""
        deadline_s = time.monotonic() + timeout_s
        while not holds() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert holds(), f"{what}: {len(self.arrived)} requests arrived"
        return list(self.arrived)


class WebhookStack(BlocklistStack):
    """Topics, a database and workers of the webhooks role."""

    role = "webhooks"

    def __init__(self, broker: Broker, *, directory: Path, **settings: Any) -> None:
        super().__init__(broker, directory=directory, webhook_master_keys=MASTER_KEY, **settings)

    def keyed(self, *keys: str) -> None:
        """Let commands and workers to come have these master keys."""
        self._values["webhook_master_keys"] = ",".join(keys)

    def run(self, *arguments: str) -> Result:
        """Run `postloop webhook ARGUMENTS` in this process."""
        values = {**self._values, "data_dir": self.directory / "data"}
        env = {f"POSTLOOP_{name.upper()}": str(value) for name, value in values.items()}
        return CliRunner().invoke(app, ["webhook", *arguments], env=env)

    def said(self, *arguments: str) -> dict[str, Any]:
        """Run a command that must succeed, and return its document."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    def add(
        self, receiver: Receiver, *events: str, account: str = "acme", options: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Add an endpoint and wait until the worker knows it."""
        known = self.metric("webhook_endpoints") if self.workers else 0
        arguments = ["add", "--url", receiver.url, "--allow-private-network", "127.0.0.0/8", *options]
        arguments += ["--account", account] if account else ["--operator"]
        for event in events:
            arguments += ["--event", event]
        made = self.said(*arguments)
        if self.workers:
            self.wait_metric("webhook_endpoints", lambda value: value > known)
        return made

    def metric(self, name: str, worker: str = "a") -> float:
        """Return the value of a metric without labels; -1 while the worker does not answer."""
        try:
            url = f"http://127.0.0.1:{self._ports[worker]}/metrics"
            with urllib.request.urlopen(url, timeout=2) as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return -1.0
        return next(float(line.split()[1]) for line in lines if line.startswith(f"postloop_{name} "))

    def wait_metric(self, name: str, holds: Callable[[float], bool], *, timeout_s: float = 20) -> None:
        """Wait until a metric is as wanted."""
        deadline_s = time.monotonic() + timeout_s
        while not holds(value := self.metric(name)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert holds(value), f"{name} is {value}"

    def publish_to(self, topic: str, documents: list[dict[str, Any]]) -> None:
        """Publish documents to any topic."""
        producer: Any = KafkaProducer(bootstrap_servers=self.settings.broker_list, acks="all")
        try:
            for document in documents:
                producer.send(self.prefix + topic, json.dumps(document).encode()).get(timeout=30)
        finally:
            producer.close()
