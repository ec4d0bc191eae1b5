"""`blocklist.insert`, `.expire`, `.state`, `.command` and `.reply`: what is published and what may be asked."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import to_json

from postloop.contracts.field_errors import FieldError
from postloop.contracts.fields import (
    EventId,
    Identifier,
    OptionalTime,
    RecipientText,
    SchemaVersion,
    WireTime,
    rfc3339_of,
)
from postloop.contracts.unreadable import reasons_of
from postloop.domain.blocklist import GLOBAL, Blocked, Released
from postloop.domain.blocklist.signals import CommandName

RecipientForm = Literal["clear", "hmac-sha256"]
MAX_REASON_CHARS: Final = 500


class _Published(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EvidenceV1(_Published):
    """What a block rests on."""

    source_event_ids: tuple[str, ...] = Field(
        description="Of the input events, or the command, that caused it."
    )
    smtp_text: str = Field(description="What the remote server said, cut; or why somebody blocked by hand.")
    rule: str = Field(description="The rule that read the reply.")
    rule_version: str = Field(description="The version of the rules.")


class BlocklistInsertV1(_Published):
    """An address was blocked, or its block lasts longer than was said before."""

    schema_version: SchemaVersion = 1
    event_id: str = Field(description="UUIDv5 of the cause: a replay repeats it.")
    entry_id: str = Field(description="The same from the insert over all extensions to the expire.")
    change: Literal["inserted", "extended"]
    scope: str = Field(description="`global`, or the sender domain for which the address is blocked.")
    recipient: str = Field(description="The canonical address, or its HMAC-SHA256 in hexadecimal.")
    recipient_form: RecipientForm
    mailbox_provider: str = Field(default="", description="Who runs the mailbox, as far as it is known.")
    reason: str = Field(description="A bounce reason, or complaint, unsubscribe, manual.")
    cause_account_ids: tuple[str, ...] = Field(description="For the platform only: never shown to accounts.")
    evidence: EvidenceV1
    starts_at: WireTime = Field(description="When the first cause happened.")
    inserted_at: WireTime = Field(description="When the block was first published.")
    changed_at: WireTime = Field(
        description="When this change was decided; of an insert the same as inserted_at."
    )
    expires_at: OptionalTime = Field(description="null: no end of itself.")


class BlocklistExpireV1(BlocklistInsertV1):
    """A block ended; the other fields are those of its last insert event."""

    cause: Literal["lease_ended", "unblocked", "rolled_back", "opt_in", "delivered"]
    expired_at: WireTime


class ActorV1(BaseModel):
    """Who asks; the identity was proved by whoever may write to the topic."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    kind: Literal["account", "operator"]
    id: Identifier


class BlocklistCommandV1(BaseModel):
    """A request about an address, or what is held of a provider. The answer comes on `blocklist.reply`, same id."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    schema_version: SchemaVersion = 1
    command_id: EventId = Field(description="A repeated id repeats the first answer.")
    command: CommandName
    recipient: RecipientText = Field(
        description="An address; of release_held and discard_held the mailbox provider, as in gmail."
    )
    scope: Identifier = Field(default=GLOBAL, description="`global`, or a sender domain.")
    actor: ActorV1
    reason: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON_CHARS)]
    requested_at: WireTime
    expires_at: OptionalTime = Field(default=None, description="For block and extend: when it is to end.")


class BlocklistReplyV1(_Published):
    """What became of a command."""

    schema_version: SchemaVersion = 1
    command_id: str
    outcome: Literal["done", "refused", "not_found"]
    code: str = Field(description="For programs, e.g. caused_by_another_account.")
    text: str = Field(description="For people.")
    event_ids: tuple[str, ...] = Field(default=(), description="Of the events that the command led to.")


def insert_bytes(change: Blocked, *, form: RecipientForm) -> bytes:
    """Return the event of a block (BlocklistInsertV1) in JSON.

    Thousands are published a second: making the model and having it serialised costs three times as much. That both
    are the same byte by byte is tested.
    """
    return to_json(_insert_fields(change, change.told.event_id, form))


def expire_bytes(change: Released, *, form: RecipientForm) -> bytes:
    """Return the event of a release (BlocklistExpireV1) in JSON."""
    fields = _insert_fields(change, change.event_id, form)
    fields["cause"] = change.cause
    fields["expired_at"] = rfc3339_of(change.expired_ms)
    return to_json(fields)


def _insert_fields(change: Blocked | Released, event_id: str, form: RecipientForm) -> dict[str, Any]:
    """Return the fields of an insert event in the order of its model."""
    told, block = change.told, change.told.block
    return {
        "schema_version": 1,
        "event_id": event_id,
        "entry_id": told.entry_id,
        "change": told.change,
        "scope": change.scope,
        "recipient": change.recipient,
        "recipient_form": form,
        "mailbox_provider": change.provider,
        "reason": block.reason,
        "cause_account_ids": block.cause_account_ids,
        "evidence": {
            "source_event_ids": block.source_event_ids,
            "smtp_text": block.smtp_text,
            "rule": block.rule,
            "rule_version": block.rule_version,
        },
        "starts_at": rfc3339_of(block.starts_ms),
        "inserted_at": rfc3339_of(told.inserted_ms),
        "changed_at": rfc3339_of(told.changed_ms),
        "expires_at": None if block.expires_ms is None else rfc3339_of(block.expires_ms),
    }


def read_command(value: bytes | None) -> BlocklistCommandV1 | tuple[FieldError, ...]:
    """Return a command, or every reason why the bytes are none; never raises."""
    try:
        return BlocklistCommandV1.model_validate_json(value or b"")
    except ValidationError as error:
        return reasons_of(value, error)


def state_key(scope: str, recipient: str) -> str:
    """Return the key of an entry in `blocklist.state`."""
    return f"{scope}|{recipient}"


def split_state_key(key: str) -> tuple[str, str]:
    """Return scope and recipient of a key: no scope holds the bar, a recipient may. Empty where one is missing."""
    scope, _, recipient = key.partition("|")
    return scope, recipient
