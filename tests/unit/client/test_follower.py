"""After every failure the thread reads on, from the beginning only when what was read is worth nothing."""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import pytest

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.client import follower as follower_module
from postloop.client.follower import Follower
from postloop.client.replica import Replica
from postloop.client.state_log import Fetched, Identity, LogReplacedError
from postloop.settings import Settings
from tests.support.processes import wait_until
from tests.unit.client.entries import NOW_MS, record

ADA, EVE = "ada@example.com", "eve@example.com"
ONE, OTHER = Identity("topic-1", 1), Identity("topic-2", 1)


class Connection:
    """A connection that brings one record a poll and then fails, or stays quiet."""

    def __init__(
        self, recipients: list[str], failure: Exception | None = None, identity: Identity = ONE
    ) -> None:
        self.identity = identity
        self.positions: dict[int, int] = {}
        self.started_at: Mapping[int, int] | None = {}
        self._recipients = list(recipients)
        self._failure = failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def start(self, positions: Mapping[int, int] | None) -> None:
        self.started_at = positions
        self.positions = dict(positions or {0: 0})

    def poll(self) -> Fetched:
        if self._recipients:
            self.positions[0] += 1
            return Fetched([record("global", self._recipients.pop(0), expires_at=None)], None, False)
        if self._failure is not None:
            raise self._failure
        time.sleep(0.01)
        return Fetched([], time.monotonic(), True)


Follow = Callable[..., tuple[Follower, Replica]]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Return a builder: it follows over these connections, one after the other, until the last is quiet."""
    monkeypatch.setattr(follower_module, "_PAUSE_S", 0.01)

    def build(*connections: Connection | Exception) -> tuple[Follower, Replica]:
        left = list(connections)

        def connect(settings: Settings, topic: str) -> Connection:
            made = left.pop(0)
            if isinstance(made, Exception):
                raise made
            return made

        monkeypatch.setattr(follower_module, "StateLog", connect)
        replica = Replica()
        follower = Follower(Settings(), "blocklist.state", replica, clock=lambda: NOW_MS / 1000)
        follower.start()
        wait_until(lambda: replica.serving is not None and not left, timeout_s=10, what="a list")
        follower.stop(timeout_s=5)
        return follower, replica

    return build


def blocked_names(replica: Replica) -> list[str]:
    assert replica.serving is not None
    view = replica.serving
    return [name for name in (ADA, EVE) if view.blocks("shop.example", name, now_ms=NOW_MS)]


def test_after_an_outage_it_reads_on_where_it_was(follow: Follow) -> None:
    second = Connection([EVE])
    follower, replica = follow(
        UnavailableError("nothing listens there"),
        Connection([ADA], UnavailableError("gone")),
        RefusedError("no such topic"),
        second,
    )
    assert second.started_at == {0: 1}
    assert blocked_names(replica) == [ADA, EVE]
    assert follower.problem == ""


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Connection([ADA], LogReplacedError("shorter")), id="the-log-was-replaced"),
        pytest.param(Connection([ADA], UnavailableError("gone"), OTHER), id="another-topic-of-this-name"),
        pytest.param(Connection([ADA], KeyError("a fault of ours")), id="a-fault-of-ours"),
    ],
)
def test_it_starts_over_with_nothing_of_what_was_read(follow: Follow, first: Connection) -> None:
    second = Connection([EVE])
    _, replica = follow(first, second)
    assert second.started_at is None
    assert blocked_names(replica) == [EVE]


def test_what_is_wrong_can_be_read_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(settings: Settings, topic: str) -> Connection:
        raise UnavailableError("Kafka at k:9092 cannot be reached: nothing listens there")

    monkeypatch.setattr(follower_module, "StateLog", connect)
    follower = Follower(Settings(), "blocklist.state", Replica(), clock=time.time)
    follower.start()
    wait_until(lambda: "nothing listens there" in follower.problem, timeout_s=5, what="the reason")
    follower.stop(timeout_s=5)
    assert not follower.is_alive()
