"""A real server in a process of its own, and plain HTTP to it."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest

from tests.support.database import clickhouse_server
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, wait_until


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> int:
        """ClickHouse's error number; 0 when there is none."""
        return int(self.headers.get("X-ClickHouse-Exception-Code", "0"))


class Server:
    """One server over one data directory; may be started again."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        self.port = free_port()
        self.process: ChildProcess = clickhouse_server(path, self.port, "--log-json", *options)

    def start(self) -> "Server":
        """Start it and wait until it answers."""
        self.process.start()
        wait_until(self.is_ready, timeout_s=30, what="the server is ready", process=self.process)
        return self

    def is_ready(self) -> bool:
        try:
            return self.request("GET", "/ready").status == 200
        except OSError:
            return False

    def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Send one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body=body, headers=named)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def post(self, sql: str | bytes, body: bytes | None = None, **values: object) -> Answer:
        """Send SQL in the body; with a body of its own, in the URL. Values are URL parameters."""
        text = sql.encode() if isinstance(sql, str) else sql
        if body is None:
            return self.request("POST", f"/?{urlencode(values)}", text)
        return self.request("POST", f"/?{urlencode({'query': text, **values})}", body)

    def rows(self, sql: str, **values: object) -> list[list[Any]]:
        """Return the rows of a query that must not fail."""
        answer = self.post(
            f"{sql} FORMAT JSONCompactEachRow", output_format_json_quote_64bit_integers=0, **values
        )
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def run(self, sql: str, body: bytes | None = None, **values: object) -> Answer:
        """Run a statement that must not fail."""
        answer = self.post(sql, body, **values)
        assert answer.status == 200, answer.body
        return answer

    def client(self, **options: Any) -> Any:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that all tests share which do not end it."""
    started = Server(tmp_path_factory.mktemp("clickhouse") / "data").start()
    yield started
    started.process.terminate()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Build servers of this test, not started yet; all over the same directory unless `name` differs."""
    built: list[Server] = []

    def build(*options: str, name: str = "data") -> Server:
        built.append(Server(tmp_path / name, *options))
        return built[-1]

    yield build
    for one in built:
        if one.process.is_running:
            one.process.kill()


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of this test's own."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    server.run(f"CREATE DATABASE {name}")
    yield name
    server.run(f"DROP DATABASE {name} SYNC")
