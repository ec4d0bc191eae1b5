"""What a command says of a port that is not Kafka's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient

from postloop.adapters.errors import UnavailableError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.settings import Settings

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
