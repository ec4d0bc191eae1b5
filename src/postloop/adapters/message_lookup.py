"""Answers about messages: their events, judged, with what blocks their recipients now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.blocklist_policy import RecipientKey
from postloop.adapters.blocklist_store import BlocklistReader, EntryRow
from postloop.adapters.message_reader import MessageCopy, MessagePlace, MessageReader
from postloop.contracts.address import canonical_recipient
from postloop.contracts.cursor import cursor_of, place_of
from postloop.contracts.message import MessageAnswerV1, MessagePageV1, MessageV1, message_answer
from postloop.domain.blocklist import GLOBAL
from postloop.domain.message import Blocked, Channel, report
from postloop.domain.wording import DEFAULT_LANGUAGE
from postloop.settings import Settings

MAX_RECIPIENTS: Final = 50
"""Recipients of a message in one answer; any other can be asked for by name."""
MAX_MESSAGES: Final = 200
"""Messages of one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, when, and how to answer.

    Attributes:
        account_id: Only its messages; None: everybody's, which only an operator can ask for.
        is_operator: Tell an operator's view of the messages of one account: why others block, and who lifts that.
        channel: Over which what is to be done next is done.
    """

    now: datetime
    account_id: str | None = None
    is_operator: bool = False
    lang: str = DEFAULT_LANGUAGE
    channel: Channel = "command_line"

    @property
    def told_as(self) -> str | None:
        """The account that is told what it may know; None: an operator, who may know everything."""
        return None if self.is_operator else self.account_id


class MessageLookup:
    """Looks messages up. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._messages = MessageReader(client, settings)
        self._blocklist = BlocklistReader(client, settings)
        self._listed_as = RecipientKey(settings).of

    def show(self, message_id: str, asker: Asker, *, recipient: str | None = None) -> MessageAnswerV1 | None:
        """Return what became of a message; None where who asks has none of this id.

        Args:
            message_id: As the sender gave it.
            asker: Who asks.
            recipient: Only this one, in any spelling.
        """
        wanted = None if recipient is None else canonical_recipient(recipient).canonical
        copies = self._messages.copies(
            message_id, account_id=asker.account_id, recipient=wanted, limit=MAX_RECIPIENTS + 1
        )
        if not copies:
            return None
        recipients = self._answers(copies[:MAX_RECIPIENTS], asker)
        return MessageAnswerV1(
            message_id=message_id,
            recipients=recipients,
            is_complete=len(copies) <= MAX_RECIPIENTS and all(copy.is_complete for copy in recipients),
        )

    def sent_to(
        self, recipient: str, asker: Asker, *, limit: int = 20, cursor: str | None = None
    ) -> MessagePageV1:
        """Return messages to a recipient, the newest first; where there are none the page is empty.

        Args:
            recipient: In any spelling.
            asker: Who asks.
            limit: How many at most; more than MAX_MESSAGES are never given.
            cursor: Where the page before ended.

        Raises:
            DataError: `invalid_cursor`.
        """
        canonical = canonical_recipient(recipient).canonical
        after = MessagePlace(*place_of(cursor, int, str, str)) if cursor else None
        size = min(limit, MAX_MESSAGES)
        own = asker.account_id
        found = self._messages.places(canonical, account_id=own, limit=size + 1, after=after)
        places = found[:size]
        copies = self._messages.copies_at(canonical, places, account_id=own)
        order = {place[1:]: number for number, place in enumerate(places)}
        copies.sort(key=lambda copy: order[copy.events[0].account_id, copy.events[0].message_id])
        messages = self._answers(copies, asker)
        return MessagePageV1(
            recipient=canonical,
            messages=messages,
            is_complete=all(message.is_complete for message in messages),
            next_cursor=cursor_of(places[-1]) if len(found) > size else None,
        )

    def _answers(self, copies: Iterable[MessageCopy], asker: Asker) -> list[MessageV1]:
        entries: dict[str, list[EntryRow]] = {}
        answers = []
        for events, is_complete in copies:
            recipient = events[0].recipient
            if recipient not in entries:
                entries[recipient] = self._blocklist.entry(None, self._listed_as(recipient))
            blocked = _blocking(entries[recipient], events[0].sender_domain, asker)
            found = report(events, now=asker.now, blocked=blocked, lang=asker.lang, channel=asker.channel)
            answers.append(message_answer(found, blocked, is_complete=is_complete))
        return answers


def _blocking(entries: Iterable[EntryRow], sender_domain: str, asker: Asker) -> list[Blocked]:
    """Return what stops mail from a sender domain now; an account is told reasons of its own mail only."""
    return [
        Blocked(
            scope=row.scope,
            reason=row.reason if asker.told_as in (None, *row.cause_account_ids) else "",
            expires_at=row.expires_at,
            has_other_causes=asker.told_as is not None and bool({*row.cause_account_ids} - {asker.told_as}),
        )
        for row in entries
        if row.scope in (GLOBAL, sender_domain)
        and row.is_active
        and (row.expires_at is None or row.expires_at > asker.now)
    ]
