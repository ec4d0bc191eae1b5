"""`/v1/blocklist`: why an address is blocked, who may be mailed, and lifting a block."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from postloop.adapters.blocklist_policy import RecipientKey
from postloop.adapters.blocklist_report import advice, explanation, headline, report
from postloop.adapters.blocklist_rows import HistoryRow
from postloop.adapters.blocklist_store import BlocklistReader
from postloop.adapters.clock import utc_now
from postloop.api.blocklist_models import (
    MAX_RECIPIENT_CHARS,
    CheckAnswer,
    CheckRequest,
    Report,
    Unblocked,
    UnblockRequest,
)
from postloop.api.caller import Asking, Caller
from postloop.api.examples import BLOCKED, CHECKED, UNBLOCKED, example
from postloop.api.json_route import JsonRoute
from postloop.api.openapi import WITH_KEY, errors
from postloop.api.path_text import ANY_TEXT
from postloop.api.problems import Problem
from postloop.api.state import Api, Shared
from postloop.client import BlockedBy
from postloop.contracts.blocklist import ActorV1, BlocklistCommandV1, BlocklistReplyV1
from postloop.contracts.fields import rfc3339
from postloop.domain.errors import DataError

router = APIRouter(prefix="/v1/blocklist", tags=["blocklist"], responses=WITH_KEY, route_class=JsonRoute)

_HISTORY: Final = 20
# They stand where an address may stand, and are none.
_POSTED: Final = frozenset({"check", "unblock"})
# A refusal is a matter of who asks (403), unless it may be done later or otherwise (409).
_FORBIDDEN: Final = frozenset(
    {"caused_by_another_account", "needs_opt_in", "not_your_domain", "operators_only"}
)

AddressInPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_RECIPIENT_CHARS,
        description="An address, percent-encoded; where the list holds hashes also the hash.",
        examples=["anna@gmail.com"],
    ),
]


@router.post(
    "/check",
    summary="Which of these may be mailed",
    response_model=CheckAnswer,
    responses={**errors(413, 415), **example(CHECKED)},
)
async def check(asked: CheckRequest, caller: Asking, api: Shared) -> Response:
    """Answer up to 1,000 pairs of sender domain and recipient, from memory.

    It looks up and does not validate: a text that is no address is on no list, so it is `allowed`.
    """
    found = await api.memory.entries([(pair.sender_domain, pair.recipient) for pair in asked.pairs])
    results = [_checked(entry, caller) for entry in found]
    blocked_count = sum(entry is not None for entry in found)
    return Response(
        to_json({"results": results, "blocked_count": blocked_count}), media_type="application/json"
    )


@router.post(
    "/unblock",
    summary="Lift a block",
    responses={**errors(403, 404, 409, 413, 415, 504), **example(UNBLOCKED)},
)
async def unblock(asked: UnblockRequest, caller: Asking, api: Shared) -> Unblocked:
    """Lift a block: an account what its own mail caused, an operator any. Returns when it took effect.

    From then on `check` says yes too, here at once, and in other processes of the API within a moment.
    """
    recipient = _listed(api, asked.recipient)
    reply = await api.commands.ask(
        BlocklistCommandV1(
            command_id=str(uuid.uuid4()),
            command="unblock",
            recipient=recipient,
            scope=asked.scope,
            actor=_actor(caller),
            reason=asked.reason,
            requested_at=utc_now(),
        )
    )
    if reply.outcome != "done":
        raise _refused(reply, contact=api.settings.operator_contact)
    await api.memory.lifted(asked.scope, asked.recipient)
    return Unblocked(
        outcome="done",
        code=reply.code,
        text=reply.text,
        event_ids=list(reply.event_ids),
        command_id=reply.command_id,
    )


# Below the others: it takes every path, for a local part may hold a slash.
@router.get(
    f"/{{recipient:{ANY_TEXT}}}",
    summary="Why an address is blocked",
    response_model=Report,
    response_model_exclude_unset=True,
    responses={**errors(405), **example(BLOCKED)},
)
async def show(recipient: AddressInPath, caller: Asking, api: Shared) -> dict[str, Any]:
    """Return the blocks of an address in all scopes, their evidence, what to do, and the last changes.

    An account sees its own causes, and whether others block the address as well, never whose mail it was.
    """
    if recipient in _POSTED:
        raise HTTPException(405, headers={"Allow": "POST"})
    listed, account = _listed(api, recipient), caller.account_id or ""

    def asked(reader: BlocklistReader) -> tuple[list[dict[str, Any]], list[HistoryRow]]:
        return reader.seen_by(account, listed), [] if account else reader.history(listed, _HISTORY)

    entries, changes = await api.warehouse.ask(lambda client: asked(BlocklistReader(client, api.settings)))
    found = report(listed, entries, changes, now=utc_now())
    found["entries"] = [_explained(entry, api, account) for entry in found["entries"]]
    return found


def _explained(entry: dict[str, Any], api: Api, account: str) -> dict[str, Any]:
    contact = api.settings.operator_contact
    return {
        **entry,
        "text": f"{headline(entry)} {explanation(entry)}".rstrip(),
        "next_step": advice(entry, contact=contact, account=account, channel="api"),
    }


def _listed(api: Api, text: str) -> str:
    try:
        return RecipientKey(api.settings).listed(text)
    except DataError as error:
        found = {"field": "recipient", "code": error.code, "text": "it is not an address"}
        raise Problem(422, "invalid_request", "recipient: it is not an address", errors=[found]) from None


def _actor(caller: Caller) -> ActorV1:
    """Return who asks, as the audit trail names it: an operator by its key."""
    if caller.account_id is not None:
        return ActorV1(kind="account", id=caller.account_id)
    return ActorV1(kind="operator", id=f"key-{caller.key_id}")


def _refused(reply: BlocklistReplyV1, *, contact: str) -> Problem:
    if reply.outcome == "not_found":
        return Problem(404, reply.code, reply.text)
    return Problem(403 if reply.code in _FORBIDDEN else 409, reply.code, reply.text, contact=contact)


def _checked(entry: BlockedBy | None, caller: Caller) -> dict[str, Any]:
    if entry is None:
        return {"allowed": True, "scope": None, "expires_at": None}
    expires_at = None if entry.expires_at is None else rfc3339(entry.expires_at)
    answer = {"allowed": False, "scope": entry.scope, "expires_at": expires_at}
    return answer if caller.account_id is not None else {**answer, "reason": entry.reason}
