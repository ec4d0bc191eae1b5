"""Commands to the blocklist role and their answers: one reader of the topic of replies for all requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Container
from typing import Final

from postloop.adapters.command_channel import command_record, read_reply
from postloop.api.problems import Problem, missing
from postloop.api.publishing import Publisher
from postloop.client.follower import LogFollower
from postloop.client.state_log import Fetched, StateLog
from postloop.contracts.blocklist import BlocklistCommandV1, BlocklistReplyV1
from postloop.domain.event_types import BLOCKLIST_COMMAND_TOPIC, BLOCKLIST_REPLY_TOPIC, prefixed
from postloop.settings import Settings

REPLY_TIMEOUT_S: Final = 10.0
_MAX_WAITING: Final = 1_000
_STOP_S: Final = 2.0
_AGAIN: Final = "Ask again: a repeat is harmless."
_UNSURE: Final = f"Kafka did not acknowledge the request, which may arrive all the same. {_AGAIN}"


class ReplyReader(LogFollower):
    """Hands on the replies that somebody waits for.

    Args:
        wanted: Ids of the commands whose replies are wanted.
        tell: Called from this thread with each of them.

    Attributes:
        is_in_place: Set from when on no reply can be missed.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        wanted: Container[str],
        tell: Callable[[BlocklistReplyV1], None],
    ) -> None:
        super().__init__(settings, topic, name="postloop-replies")
        self._wanted = wanted
        self._tell = tell
        self.is_in_place = threading.Event()

    def begin(self, state_log: StateLog, *, is_first: bool) -> None:
        """Read from the end, for nobody has asked yet; a topic that was made anew from its beginning."""
        if is_first:
            state_log.start_at_end()
        else:
            state_log.start(None)
        self.is_in_place.set()

    def take(self, fetched: Fetched) -> None:
        """Hand on what is waited for; the key of a reply is the id of its command."""
        for key, value in fetched.records:
            if (key or b"").decode("utf-8", "replace") in self._wanted:
                reply = read_reply(value)
                if reply is not None:
                    self._tell(reply)


class CommandDesk:
    """Asks the role for changes and waits for its answers. Used from one loop."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._settings = settings
        self._publisher = publisher
        self._topic = prefixed(BLOCKLIST_COMMAND_TOPIC, prefix=settings.topic_prefix)
        self._waiting: dict[str, asyncio.Future[BlocklistReplyV1]] = {}
        self._reader: ReplyReader | None = None

    async def start(self) -> None:
        """Begin to read replies."""
        loop = asyncio.get_running_loop()
        self._reader = ReplyReader(
            self._settings,
            prefixed(BLOCKLIST_REPLY_TOPIC, prefix=self._settings.topic_prefix),
            wanted=self._waiting,
            tell=lambda reply: _call(loop, self._answer, reply),
        )
        self._reader.start()

    async def stop(self) -> None:
        if self._reader is not None:
            await asyncio.to_thread(self._reader.stop, timeout_s=_STOP_S)

    @property
    def problem(self) -> str:
        """Why replies cannot be read, empty while they can."""
        if self._reader is None or not self._reader.is_in_place.is_set():
            return (self._reader.problem if self._reader else "") or "replies are not read yet"
        return self._reader.problem

    @property
    def heard_s(self) -> float | None:
        """When the brokers were heard of last, by time.monotonic()."""
        return None if self._reader is None else self._reader.heard_s

    async def ask(self, command: BlocklistCommandV1) -> BlocklistReplyV1:
        """Send a command and return its answer.

        Raises:
            Problem: 503: it could not be sent; 504: no answer came in time, it may still take effect.
        """
        if self._reader is None or not self._reader.is_in_place.is_set():
            raise missing("kafka", "Answers of the blocklist cannot be read yet; nothing was asked.")
        if len(self._waiting) >= _MAX_WAITING:
            raise missing("blocklist", "Too many requests wait for the blocklist; nothing was asked.")
        answer: asyncio.Future[BlocklistReplyV1] = asyncio.get_running_loop().create_future()
        self._waiting[command.command_id] = answer
        try:
            record = command_record(command, topic=self._topic)
            await self._publisher.publish([record], when_unknown=_UNSURE)
            return await asyncio.wait_for(answer, REPLY_TIMEOUT_S)
        except TimeoutError:
            text = f"The blocklist did not answer within {REPLY_TIMEOUT_S:g} s; it may do so later. {_AGAIN}"
            raise Problem(504, "no_answer", text, missing=["blocklist"]) from None
        finally:
            self._waiting.pop(command.command_id, None)

    def _answer(self, reply: BlocklistReplyV1) -> None:
        answer = self._waiting.get(reply.command_id)
        if answer is not None and not answer.done():
            answer.set_result(reply)


def _call(
    loop: asyncio.AbstractEventLoop, tell: Callable[[BlocklistReplyV1], None], reply: BlocklistReplyV1
) -> None:
    """Tell the loop from another thread; a loop that has ended just now needs no answer any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell, reply)
