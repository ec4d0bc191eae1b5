"""Which ports a stack takes."""

import socket
from collections.abc import Iterator

import pytest

from postloop.adapters.health_server import PortTakenError
from postloop.embedded.ports import PortChoice


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_one_port_for_two_parts_is_named_as_that() -> None:
    ports = PortChoice()
    port = ports.choose("kafka", asked=PortChoice().any_free(), usual=9092)
    with pytest.raises(PortTakenError, match=f"port {port} is asked for twice, also for clickhouse"):
        ports.choose("clickhouse", asked=port, usual=8123)


def test_the_port_that_was_asked_for_is_taken_when_it_is_free() -> None:
    port = PortChoice().any_free()
    assert PortChoice().choose("kafka", asked=port, usual=9092) == port


def test_a_port_that_was_asked_for_and_is_taken_is_refused_with_its_number_and_use(taken: int) -> None:
    with pytest.raises(
        PortTakenError, match=rf"port {taken} \(kafka\) is taken: another process listens there"
    ):
        PortChoice().choose("kafka", asked=taken, usual=9092)


def test_the_usual_port_is_chosen_when_it_is_free() -> None:
    usual = PortChoice().any_free()
    assert PortChoice().choose("kafka", asked=None, usual=usual) == usual


def test_another_port_is_chosen_when_the_usual_one_is_taken(taken: int) -> None:
    assert PortChoice().choose("kafka", asked=None, usual=taken) != taken


def test_zero_asks_for_any_free_port() -> None:
    usual = PortChoice().any_free()
    assert PortChoice().choose("kafka", asked=0, usual=usual) > 0


def test_no_port_is_given_twice() -> None:
    ports = PortChoice()
    usual = ports.any_free()
    first = ports.choose("kafka", asked=None, usual=usual)
    second = ports.choose("clickhouse", asked=None, usual=usual)
    assert len({usual, first, second}) == 3


def test_the_same_port_asked_for_twice_is_refused() -> None:
    ports = PortChoice()
    port = ports.any_free()
    with pytest.raises(PortTakenError, match=str(port)):
        ports.choose("clickhouse", asked=port, usual=8123)
