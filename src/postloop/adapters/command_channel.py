"""Sends blocklist commands and waits for their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from postloop.adapters.errors import UnavailableError
from postloop.adapters.record_producer import Record, RecordProducer
from postloop.adapters.topic_admin import partition_counts
from postloop.adapters.topic_tail import TopicTail
from postloop.contracts.blocklist import BlocklistCommandV1, BlocklistReplyV1
from postloop.domain.event_types import BLOCKLIST_COMMAND_TOPIC, BLOCKLIST_REPLY_TOPIC, prefixed
from postloop.settings import Settings

# Commands on their way at once: answers come in any order.
_AT_ONCE: Final = 1_000
ROLE_HINT: Final = "does `postloop worker blocklist` run?"

OnReply = Callable[[BlocklistReplyV1], None]


class CommandChannel:
    """Asks for changes of the blocklist. A context manager.

    It reads the topic of replies from its present end, without a consumer group: the ACLs it needs are to write
    `blocklist.command` and to read `blocklist.reply`.
    """

    def __init__(self, settings: Settings, *, timeout_s: float = 30.0) -> None:
        """Connect.

        Args:
            timeout_s: The longest silence while answers are due.

        Raises:
            UnavailableError, RefusedError: The broker cannot be reached, or a topic does not exist.
        """
        self._timeout_s = timeout_s
        self._commands = prefixed(BLOCKLIST_COMMAND_TOPIC, prefix=settings.topic_prefix)
        self._replies = prefixed(BLOCKLIST_REPLY_TOPIC, prefix=settings.topic_prefix)
        counts = partition_counts(settings, [self._commands, self._replies])
        self._producer = RecordProducer(settings)
        self._tail = TopicTail(settings, self._replies, partition_count=counts[self._replies])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.close()
        self._tail.close()

    def ask(self, command: BlocklistCommandV1) -> BlocklistReplyV1:
        """Send one command and return its answer.

        Raises:
            UnavailableError: No answer comes.
        """
        replies: list[BlocklistReplyV1] = []
        self.ask_all([command], on_reply=replies.append)
        return replies[0]

    def ask_all(self, commands: Iterable[BlocklistCommandV1], *, on_reply: OnReply) -> None:
        """Send commands, some at once, and give every answer to `on_reply`.

        Raises:
            UnavailableError: An answer does not come; those before it took effect.
        """
        rest = iter(commands)
        while batch := list(islice(rest, _AT_ONCE)):
            self._producer.publish([command_record(command, topic=self._commands) for command in batch])
            self._wait({command.command_id for command in batch}, on_reply)

    def _wait(self, waiting: set[str], on_reply: OnReply) -> None:
        heard_s = time.monotonic()
        while waiting:
            for value in self._tail.values():
                reply = read_reply(value)
                if reply is not None and reply.command_id in waiting:
                    waiting.discard(reply.command_id)
                    heard_s = time.monotonic()
                    on_reply(reply)
            if waiting and time.monotonic() - heard_s > self._timeout_s:
                raise UnavailableError(
                    f"no answer to {len(waiting)} commands within {self._timeout_s:g} s: {ROLE_HINT}"
                )


def command_record(command: BlocklistCommandV1, *, topic: str) -> Record:
    """Return the record of a command; its key is the address, whose owner answers."""
    return Record(topic, command.recipient.encode(), command.model_dump_json().encode())


def read_reply(value: bytes | None) -> BlocklistReplyV1 | None:
    """Return a reply, None for bytes that are none."""
    try:
        return BlocklistReplyV1.model_validate_json(value or b"")
    except ValidationError:
        return None
