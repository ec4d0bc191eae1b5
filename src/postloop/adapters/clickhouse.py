"""ClickHouse over HTTP: the client, and its errors translated into the two kinds a caller can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.exceptions import DataError as ClientDataError

from postloop.adapters.errors import RefusedError, UnavailableError, UnfitError
from postloop.adapters.tls import tls_failure
from postloop.settings import Settings

# Codes after which the same statement may succeed later (ClickHouse's Kafka Connect sink retries the same ones):
# timeouts, connections, memory, too many parts or queries, read-only replicas, unknown state of an insert.
RETRYABLE_CODES: Final = frozenset(
    [
        "3",
        "107",
        "159",
        "164",
        "202",
        "203",
        "209",
        "210",
        "236",
        "241",
        "242",
        "252",
        "285",
        "286",
        "319",
        "394",
        "425",
        "439",
        "473",
        "499",
        "999",
    ]
)
# The setting `priority`: a query waits between two blocks while one with a smaller number runs; 0 takes no part.
URGENT: Final = {"priority": 1}
"""Somebody waits for the answer."""
PATIENT: Final = {"priority": 2}
"""Nobody does: what is found is for later."""
UNKNOWN_DATABASE: Final = "81"
_REFUSALS: Final = {
    "516": " refused the user or the password (POSTLOOP_CLICKHOUSE_USER, POSTLOOP_CLICKHOUSE_PASSWORD)",
    UNKNOWN_DATABASE: " has no such database (POSTLOOP_CLICKHOUSE_DATABASE): `postloop migrate` makes it",
}
_CONNECTION_FAILURES: Final = {
    "Connection refused": "nothing listens there (connection refused)",
    "Failed to resolve": "the name of the host is not known",
    "timed out": "no answer in time",
    "BadStatusLine": "the port does not speak http: is it https?",
    "closed connection without response": "it ended the connection without an answer (so does a port for https)",
}
_CODE = re.compile(r"(?:Code:|error code|code) (\d+)")


def connect(settings: Settings, *, timeout_s: float | None = None, **client_settings: Any) -> Client:
    """Return a client for the configured server.

    Raises:
        UnavailableError: Nothing answers at the address.
        RefusedError: The server answered and refused (user, password, database).
    """
    url = urlsplit(settings.clickhouse_url)
    secure = url.scheme == "https"
    with translated(f"ClickHouse at {settings.clickhouse_url}"):
        return clickhouse_connect.get_client(
            host=url.hostname or "localhost",
            port=url.port or (8443 if secure else 8123),
            interface=url.scheme,
            username=settings.clickhouse_user,
            password=settings.clickhouse_password.get_secret_value(),
            database=settings.clickhouse_database,
            ca_cert=str(settings.clickhouse_ca_file) if settings.clickhouse_ca_file else None,
            connect_timeout=5,
            send_receive_timeout=timeout_s or settings.clickhouse_timeout.total_seconds(),
            autogenerate_session_id=False,
            settings=client_settings or None,
        )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn every client error raised inside into UnavailableError or RefusedError, naming `what`."""
    try:
        yield
    except ClientDataError as error:  # the client's own, before anything is sent
        raise UnfitError(f"{what}: {_short(' '.join(str(error).split()))}", code="unfit") from error
    except ClickHouseError as error:
        text = " ".join(str(error).split())
        code = _CODE.search(text)
        if code is None:
            raise UnavailableError(f"{what} {_why_unreached(text)}") from error
        if code[1] in RETRYABLE_CODES:
            raise UnavailableError(f"{what}: {_short(text)}") from error
        raise RefusedError(f"{what}{_REFUSALS.get(code[1], f': {_short(text)}')}", code=code[1]) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"{what} {_why_unreached(str(error))}") from error


def rows_of(
    client: Client, query: str, parameters: Mapping[str, Any], *, where: str, **settings: Any
) -> list[tuple[Any, ...]]:
    """Return what a query finds; times are aware. Blocks.

    Args:
        where: Named when the query fails, as in `ClickHouse at URL`.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """
    with translated(where):
        result = client.query(query, parameters=dict(parameters), settings=settings, tz_mode="aware")
    return [tuple(row) for row in result.result_rows]


def stored_settings(*, cluster: str) -> dict[str, Any]:
    """Return the settings of an insert that is stored when it returns, on a cluster too.

    Args:
        cluster: Its name, empty on one node. There the rows go through the table over all shards.
    """
    settings: dict[str, Any] = {"async_insert": 0}
    if cluster:
        settings |= {
            "distributed_foreground_insert": 1,
            "insert_quorum": "auto",
            "insert_quorum_parallel": 0,
        }
    return settings


def _why_unreached(text: str) -> str:
    """Return in a person's words what the HTTP client says of a connection that did not come about."""
    tls = tls_failure(text, ca_setting="POSTLOOP_CLICKHOUSE_CA_FILE")
    said = (words for sign, words in _CONNECTION_FAILURES.items() if sign in text)
    return f"cannot be reached: {tls or next(said, _short(text))}"


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
