"""A connected kafka-python admin client whose failures tell why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.kafka_security import kafka_client_args, kafka_translated
from postloop.settings import Settings

_REQUEST_TIMEOUT_S: Final = 15.0
# Where kafka-python tells why a connection failed while a client starts.
_BOOTSTRAP_LOG: Final = "kafka.net.manager"


@contextmanager
def admin_client(settings: Settings, *, timeout_s: float | None = None) -> Iterator[Any]:
    """Yield an admin client that has reached the cluster.

    Raises:
        UnavailableError: No broker answers within `timeout_s` (default 5 s).
        RefusedError: A broker answered and refused (user, password, rights).
    """
    client = _connected(settings, timeout_s=timeout_s)
    try:
        with kafka_translated(f"Kafka at {settings.kafka_brokers}"):
            yield client
    finally:
        client.close()


def _connected(settings: Settings, *, timeout_s: float | None) -> Any:
    args = {**kafka_client_args(settings), "request_timeout_ms": int(_REQUEST_TIMEOUT_S * 1000)}
    if timeout_s is not None:
        args["bootstrap_timeout_ms"] = int(timeout_s * 1000)
    with kafka_translated(f"Kafka at {settings.kafka_brokers}"), bootstrap_failures() as failures:
        try:
            return KafkaAdminClient(**args)
        except KafkaTimeoutError:
            raise why_not_reached(settings, failures) from None


def why_not_reached(settings: Settings, failures: list[Exception]) -> UnavailableError | RefusedError:
    """Return the error that says in one sentence why no broker could be used."""
    where = f"Kafka at {settings.kafka_brokers}"
    for failure in failures:
        if isinstance(failure, SaslAuthenticationFailedError):
            name = type(failure).__name__
            return RefusedError(
                f"{where} refused the user {settings.kafka_username!r} or its password", code=name
            )
        if isinstance(failure, UnsupportedSaslMechanismError):
            mechanism = settings.kafka_sasl_mechanism
            return RefusedError(
                f"{where} does not offer the SASL mechanism {mechanism}", code=type(failure).__name__
            )
    if settings.kafka_username and any("disconnected" in str(failure) for failure in failures):
        # Apache Kafka closes right after it refused a password: the refusal is read about every other time.
        why = f"the user {settings.kafka_username!r} or its password is wrong, or the port is another"
        return UnavailableError(f"{where} ended the connection while logging in: {why}")
    return UnavailableError(f"{where} cannot be reached: {_reason(settings, failures)}")


@contextmanager
def bootstrap_failures() -> Iterator[list[Exception]]:
    """Collect why connections failed while a client starts.

    kafka-python tries until its time is up and then says "timeout", whatever the reason; a wrong password or
    certificate appears only among the arguments of its log lines (seen in 3.0.12).
    """
    collector = _Collector()
    logger = logging.getLogger(_BOOTSTRAP_LOG)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(collector)
    try:
        yield collector.failures
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate
        logger.setLevel(level)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.failures: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        failures = (argument for argument in arguments if isinstance(argument, Exception))
        self.failures.extend(failure for failure in failures if not isinstance(failure, KafkaTimeoutError))


def _reason(settings: Settings, failures: list[Exception]) -> str:
    text = " ".join(str(failures[-1]).split()) if failures else ""
    if "ECONNREFUSED" in text:
        return "nothing listens there (connection refused)"
    if "DNS" in text:
        return "the name of the host is not known"
    security = f"is POSTLOOP_KAFKA_SECURITY={settings.kafka_security} right for this port?"
    return f"{text or 'no answer in time'}; {security}"
