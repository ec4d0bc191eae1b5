"""What became of a message: by its id, and by the recipient."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from postloop.adapters.clock import utc_now
from postloop.adapters.message_lookup import MAX_MESSAGES, Asker, MessageLookup
from postloop.api.caller import Asking, Caller
from postloop.api.examples import MESSAGE, MESSAGES, example
from postloop.api.openapi import WITH_KEY, errors
from postloop.api.path_text import ANY_TEXT
from postloop.api.problems import Problem
from postloop.api.scope import MAX_TEXT_CHARS, AccountId, Cursor, Lang, Text, account_of, refused
from postloop.api.state import Shared
from postloop.contracts.message import MessageAnswerV1, MessagePageV1
from postloop.domain.errors import DataError

router = APIRouter(tags=["messages"], responses=WITH_KEY)


@router.get(
    "/v1/messages",
    summary="Messages to a recipient, the newest first",
    responses={**errors(404), **example(MESSAGES)},
)
async def list_messages(
    caller: Asking,
    api: Shared,
    recipient: Annotated[Text, Query(description="The address, in any spelling.")],
    limit: Annotated[int, Query(ge=1, le=MAX_MESSAGES, description="Messages of a page.")] = 20,
    cursor: Cursor = None,
    account_id: AccountId = None,
    lang: Lang = "en",
) -> MessagePageV1:
    """List what was sent to an address, each message with its verdict, why, and what to do next."""
    asker = _asker(caller, account_id, lang)
    try:
        return await api.warehouse.ask(
            lambda client: MessageLookup(client, api.settings).sent_to(
                recipient, asker, limit=limit, cursor=cursor
            )
        )
    except DataError as error:
        raise refused(error) from None


@router.get(
    f"/v1/messages/{{message_id:{ANY_TEXT}}}",
    summary="What became of a message",
    responses={**errors(404), **example(MESSAGE)},
)
async def show_message(
    caller: Asking,
    api: Shared,
    message_id: Annotated[
        str, Path(min_length=1, max_length=MAX_TEXT_CHARS, description="As the sender gave it.")
    ],
    recipient: Annotated[
        Text | None, Query(description="Only what was sent to this address, in any spelling.")
    ] = None,
    account_id: AccountId = None,
    lang: Lang = "en",
) -> MessageAnswerV1:
    """Say for each recipient what became of a message, why, whose side it is on, and what to do next."""
    asker = _asker(caller, account_id, lang)
    found = await api.warehouse.ask(
        lambda client: MessageLookup(client, api.settings).show(message_id, asker, recipient=recipient)
    )
    if found is None:
        raise Problem(404, "not_found", "There is no such message, or its events are no longer kept.")
    return found


def _asker(caller: Caller, account_id: str | None, lang: str) -> Asker:
    """Return who asks: an operator is told as one, also where it names the account."""
    return Asker(
        now=utc_now(),
        account_id=account_of(caller, account_id),
        is_operator=caller.account_id is None,
        lang=lang,
        channel="api",
    )
