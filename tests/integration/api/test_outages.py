"""ClickHouse or Kafka away: 503 that names it, what needs neither goes on, and it recovers by itself."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import connect
from postloop.domain.errors import PostloopError
from postloop.settings import Settings
from tests.support.api import ApiServer
from tests.support.blocklist import HARD, event
from tests.support.broker_fixtures import chosen_broker
from tests.support.brokers import Broker
from tests.support.database import clickhouse_server, copy_migrated
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, wait_until

SHOW = "/v1/blocklist/anna@example.org"
PAIRS = {"pairs": [{"sender_domain": "shop.example", "recipient": "anna@example.org"}]}


class ClickHouse:
    """A server of its own that a test stops and starts again with its data."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(clickhouse_url=f"http://127.0.0.1:{free_port()}")
        port = int(self.settings.clickhouse_url.rpartition(":")[2])
        path = copy_migrated(directory / "clickhouse")
        self._make = lambda: clickhouse_server(path, port)
        self.process: ChildProcess = self._make()

    def start(self) -> None:
        self.process = self._make().start()
        wait_until(self._answers, timeout_s=60, what="ClickHouse answers", process=self.process)

    def _answers(self) -> bool:
        try:
            connect(self.settings, timeout_s=5).close()
        except PostloopError:
            return False
        return True


# One of each for all tests: every test leaves them as it found them, and starting them takes ten seconds.
@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    with chosen_broker()() as running:
        yield running


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path_factory.mktemp("outages"))
    server.start()
    yield server
    server.process.kill_session()


@pytest.fixture(scope="module")
def api(own_broker: Broker, database: ClickHouse) -> Iterator[ApiServer]:
    settings = Settings(
        kafka_brokers=own_broker.bootstrap,
        clickhouse_url=database.settings.clickhouse_url,
        topic_partitions=1,
    )
    topic_admin.create_topics(settings)
    with ApiServer(settings) as server:
        yield server.wait_ready()


def posted(client: httpx.Client, **fields: Any) -> httpx.Response:
    sent = {"type": "bounce", **event("anna@example.org", **HARD), **fields}
    return client.post("/v1/events", json=sent)


def event_ids(brokers: str) -> set[str]:
    """Return the ids of all events that stand on the topic of bounces."""
    consumer = KafkaConsumer(
        "email.bounce",
        bootstrap_servers=brokers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=5_000,
    )
    try:
        return {json.loads(record.value)["event_id"] for record in consumer}
    finally:
        consumer.close()


def assert_missing(answer: httpx.Response, part: str) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.json()["missing"] == [part]
    assert answer.headers["retry-after"]
    assert "127.0.0.1" not in answer.text, "where the parts are is nobody's business"


def not_ready_because_of(api: ApiServer, part: str) -> bool:
    answer = api.nobody.get("/ready")
    return answer.status_code == 503 and part in answer.json()["missing"]


def becomes(answer: Callable[[], bool], what: str) -> None:
    wait_until(answer, timeout_s=30, what=what)


def test_without_clickhouse_known_keys_count_and_what_needs_it_says_so(
    api: ApiServer, database: ClickHouse
) -> None:
    acme = api.as_account("acme")
    assert acme.get(SHOW).status_code == 200
    unknown = api.with_key(api.make_key("late").text)
    database.process.kill()
    assert_missing(acme.get(SHOW), "clickhouse")
    assert acme.post("/v1/blocklist/check", json=PAIRS).status_code == 200
    assert posted(acme).status_code == 202
    becomes(lambda: not_ready_because_of(api, "clickhouse"), "/ready names it")
    assert api.nobody.get("/health").status_code == 200
    database.start()
    becomes(lambda: acme.get(SHOW).status_code == 200, "it answers again")
    becomes(lambda: api.nobody.get("/ready").status_code == 200, "/ready says yes again")
    assert unknown.get(SHOW).status_code == 200


def test_a_key_that_cannot_be_looked_up_is_not_called_wrong(api: ApiServer, database: ClickHouse) -> None:
    made = api.make_key("acme")  # not used before: the process has not heard of it
    time.sleep(0.1)
    database.process.kill()
    becomes(lambda: not_ready_because_of(api, "clickhouse"), "/ready names it")
    answer = api.with_key(made.text).post("/v1/blocklist/check", json=PAIRS)
    assert answer.status_code in (200, 503), "known by the last reading, or not to be known"
    assert api.nobody.post("/v1/blocklist/check", json=PAIRS).status_code == 401
    database.start()
    becomes(lambda: api.nobody.get("/ready").status_code == 200, "/ready says yes again")


def test_without_kafka_nothing_is_accepted_and_it_recovers(api: ApiServer, own_broker: Broker) -> None:
    acme = api.as_account("acme")
    assert posted(acme).status_code == 202
    own_broker.kill()
    assert_missing(posted(acme), "kafka")
    began_s = time.monotonic()
    assert_missing(posted(acme), "kafka")
    assert time.monotonic() - began_s < 1, "who knows that it is away does not wait for it"
    unblocking = {"recipient": "anna@example.org", "reason": "it works"}
    assert_missing(acme.post("/v1/blocklist/unblock", json=unblocking), "kafka")
    assert acme.get(SHOW).status_code == 200
    becomes(lambda: not_ready_because_of(api, "kafka"), "/ready names it")
    own_broker.restart()
    topic_admin.create_topics(api.settings)
    becomes(lambda: posted(acme).status_code == 202, "events are accepted again")
    becomes(lambda: api.nobody.get("/ready").status_code == 200, "/ready says yes again")


def test_what_a_silent_broker_does_not_acknowledge_is_not_accepted(
    api: ApiServer, own_broker: Broker
) -> None:
    acme = api.as_account("acme")
    assert posted(acme).status_code == 202
    own_broker.pause()
    try:
        assert_missing(posted(acme), "kafka")
    finally:
        own_broker.resume()
    becomes(lambda: posted(acme).status_code == 202, "events are accepted again")


def test_while_a_broker_dies_no_event_is_accepted_after_its_death(api: ApiServer, own_broker: Broker) -> None:
    key = api.as_account("acme").headers["Authorization"]
    answers: list[tuple[float, int, str]] = []
    stopping = threading.Event()

    def work() -> None:
        with httpx.Client(base_url=api.url, timeout=30, headers={"Authorization": key}) as client:
            while not stopping.is_set():
                began_s, name = time.monotonic(), uuid.uuid4().hex
                answers.append((began_s, posted(client, event_id=name).status_code, name))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answers) > 50, timeout_s=20, what="events are handed in")
    own_broker.kill()
    died_s = time.monotonic()
    wait_until(lambda: any(status == 503 for _, status, _ in answers), timeout_s=20, what="one is refused")
    stopping.set()
    for thread in threads:
        thread.join(30)
    assert {status for began_s, status, _ in answers if began_s > died_s} <= {503}
    assert {status for _, status, _ in answers} == {202, 503}
    own_broker.restart()
    if own_broker.keeps_data:
        accepted = {name for _, status, name in answers if status == 202}
        assert accepted <= event_ids(own_broker.bootstrap)
    topic_admin.create_topics(api.settings)
    becomes(lambda: api.nobody.get("/ready").status_code == 200, "/ready says yes again")
