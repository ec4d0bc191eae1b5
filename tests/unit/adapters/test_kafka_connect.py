"""What a command says of a port that is not Kafka's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from kafka import KafkaAdminClient

from postloop.adapters.errors import UnavailableError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.settings import Settings
from tests.support.ports import free_port

# What a TLS port sends when it is greeted in clear text: an alert record, "unexpected message".
_TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 10])


@pytest.fixture(params=[b"", _TLS_ALERT], ids=["closes", "tls-alert"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a port that answers every greeting in one way and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, request.param), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _answer(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(1024)
            connection.sendall(answer)


def test_a_port_of_another_protocol_is_said_the_same_way_however_it_refuses(stranger: str) -> None:
    settings = Settings(_env_file=None, kafka_brokers=stranger)
    with pytest.raises(UnavailableError) as raised:
        connect_kafka(KafkaAdminClient, settings, bootstrap_timeout_ms=1_000)
    assert str(raised.value) == (
        f"Kafka at {stranger} cannot be reached: it ends the connection or answers in another protocol; "
        "is POSTLOOP_KAFKA_SECURITY=plaintext right for this port?"
    )


def _never(**_: Any) -> NoReturn:
    pytest.fail("a client was made, which tries until its time is up")


def _client(**_: Any) -> str:
    return "a client"


def test_where_nobody_listens_no_client_is_made() -> None:
    addresses = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError) as raised:
        connect_kafka(_never, Settings(_env_file=None, kafka_brokers=addresses))
    assert str(raised.value) == (
        f"Kafka at {addresses} cannot be reached: nothing listens there (connection refused)"
    )


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_a_name_that_nobody_knows_is_final_and_a_silent_name_server_is_not(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def look(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(code, "said by the resolver")

    monkeypatch.setattr(socket, "create_connection", look)
    settings = Settings(_env_file=None, kafka_brokers="kafka.example:9092")
    if code == socket.EAI_AGAIN:
        assert connect_kafka(_client, settings) == "a client"
        return
    with pytest.raises(UnavailableError, match="the name of the host is not known"):
        connect_kafka(_never, settings)


def test_one_address_where_somebody_listens_is_enough(stranger: str) -> None:
    settings = Settings(_env_file=None, kafka_brokers=f"127.0.0.1:{free_port()},{stranger}")
    assert connect_kafka(_client, settings) == "a client"


def test_a_broker_that_comes_back_within_a_moment_is_waited_for() -> None:
    port = free_port()

    def come_back() -> None:
        servers.append(socket.create_server(("127.0.0.1", port)))

    servers: list[socket.socket] = []
    timer = threading.Timer(0.3, come_back)
    timer.start()
    try:
        assert (
            connect_kafka(_client, Settings(_env_file=None, kafka_brokers=f"127.0.0.1:{port}")) == "a client"
        )
    finally:
        timer.join()
        for server in servers:
            server.close()
