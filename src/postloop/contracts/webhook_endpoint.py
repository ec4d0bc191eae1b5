"""The record of an endpoint in its compacted topic: all of it, with what is secret sealed.

Sealing is handed in: this module knows neither keys nor ciphers. `Seal` and `Unseal` get the text and a context, which
names endpoint and field, so that a sealed text that was moved elsewhere does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from postloop.contracts.fields import OptionalTime, SchemaVersion, WireTime, milliseconds, moment
from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import (
    DisableCause,
    Endpoint,
    EndpointState,
    Filters,
    Header,
    RecipientOption,
    Secret,
)

MARKER_KEY: Final = "marker"
"""A record of a reader who wants to know where the topic ends; says nothing about endpoints."""
RESTORED_KEY: Final = "restored"
"""A record that says: the topic is whole. Without it endpoints are restored from the database first."""
NO_ENDPOINT: Final = frozenset({MARKER_KEY, RESTORED_KEY})
"""Keys of the topic that name no endpoint."""

Seal = Callable[[str, str], str]
"""(text, context) -> sealed text."""
Unseal = Callable[[str, str], str]
"""(sealed text, context) -> text; raises when it cannot be opened."""


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class SealedSecretV1(_Stored):
    """A signing secret."""

    sealed: str
    valid_until: OptionalTime = None


class SealedHeaderV1(_Stored):
    """A header of the customer's."""

    name: str
    sealed: str


class EndpointRecordV1(_Stored):
    """An endpoint after its last change."""

    schema_version: SchemaVersion = 1
    endpoint_id: str
    account_id: str | None = Field(description="null: the operator's.")
    url: str
    event_types: tuple[str, ...]
    sender_domains: tuple[str, ...] = ()
    mail_classes: tuple[str, ...] = ()
    final_failures_only: bool = False
    secrets: tuple[SealedSecretV1, ...]
    sealed_hash_key: str
    headers: tuple[SealedHeaderV1, ...] = ()
    rate_limit_per_s: float = 0.0
    concurrency: int
    recipient: RecipientOption
    payload: Literal["single", "batched"]
    allowed_networks: tuple[str, ...] = ()
    state: EndpointState
    cause: DisableCause = ""
    created_at: WireTime
    state_since: WireTime
    version: int


def endpoint_to_bytes(endpoint: Endpoint, *, seal: Seal) -> bytes:
    """Return the record of an endpoint."""
    name, filters = endpoint.endpoint_id, endpoint.filters
    record = EndpointRecordV1(
        endpoint_id=name,
        account_id=endpoint.account_id,
        url=endpoint.url,
        event_types=tuple(sorted(endpoint.event_types)),
        sender_domains=tuple(sorted(filters.sender_domains)),
        mail_classes=tuple(sorted(filters.mail_classes)),
        final_failures_only=filters.final_failures_only,
        secrets=tuple(
            SealedSecretV1(
                sealed=seal(secret.value, _context(name, "secret")),
                valid_until=None if secret.valid_until_ms is None else moment(secret.valid_until_ms),
            )
            for secret in endpoint.secrets
        ),
        sealed_hash_key=seal(endpoint.hash_key, _context(name, "hash_key")),
        headers=tuple(
            SealedHeaderV1(name=header.name, sealed=seal(header.value, _context(name, "header")))
            for header in endpoint.headers
        ),
        rate_limit_per_s=float(endpoint.rate_limit_per_s),
        concurrency=endpoint.concurrency,
        recipient=endpoint.recipient,
        payload="batched" if endpoint.is_batched else "single",
        allowed_networks=endpoint.allowed_networks,
        state=endpoint.state,
        cause=endpoint.cause,
        created_at=moment(endpoint.created_ms),
        state_since=moment(endpoint.state_ms),
        version=endpoint.version,
    )
    return record.model_dump_json().encode()


def read_endpoint(value: bytes) -> EndpointRecordV1:
    """Return the record of an endpoint, still sealed: what may be listed.

    Raises:
        DataError: `bad_endpoint`, the bytes are none.
    """
    try:
        return EndpointRecordV1.model_validate_json(value)
    except ValidationError as error:
        raise DataError("bad_endpoint", "", f"no endpoint: {error.errors()[0]['msg']}") from None


def sealed_texts(record: EndpointRecordV1) -> list[str]:
    """Return everything of an endpoint that is sealed."""
    return [
        record.sealed_hash_key,
        *(secret.sealed for secret in record.secrets),
        *(header.sealed for header in record.headers),
    ]


def opened_endpoint(record: EndpointRecordV1, *, unseal: Unseal) -> Endpoint:
    """Return the endpoint of a record, its secrets opened."""
    name = record.endpoint_id
    return Endpoint(
        endpoint_id=name,
        account_id=record.account_id,
        url=record.url,
        event_types=frozenset(record.event_types),
        filters=Filters(
            sender_domains=frozenset(record.sender_domains),
            mail_classes=frozenset(record.mail_classes),
            final_failures_only=record.final_failures_only,
        ),
        secrets=tuple(
            Secret(
                value=unseal(secret.sealed, _context(name, "secret")),
                valid_until_ms=None if secret.valid_until is None else milliseconds(secret.valid_until),
            )
            for secret in record.secrets
        ),
        hash_key=unseal(record.sealed_hash_key, _context(name, "hash_key")),
        headers=tuple(
            Header(name=header.name, value=unseal(header.sealed, _context(name, "header")))
            for header in record.headers
        ),
        rate_limit_per_s=record.rate_limit_per_s,
        concurrency=record.concurrency,
        recipient=record.recipient,
        is_batched=record.payload == "batched",
        allowed_networks=record.allowed_networks,
        state=record.state,
        cause=record.cause,
        created_ms=milliseconds(record.created_at),
        state_ms=milliseconds(record.state_since),
        version=record.version,
    )


def _context(endpoint_id: str, field: str) -> str:
    return f"{endpoint_id}|{field}"
