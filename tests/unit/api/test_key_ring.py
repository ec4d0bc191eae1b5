"""Strangers cost little, a key made a moment ago counts, and one that cannot be looked up is not called wrong."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from postloop.adapters.errors import UnavailableError
from postloop.api import key_ring
from postloop.api.key_ring import KeyRing
from postloop.api.problems import Problem
from postloop.api.warehouse import Warehouse
from postloop.domain.api_key import RANDOM_BYTES, ApiKey, NewKey, new_key
from postloop.settings import Settings


class Keys(Warehouse):
    """A warehouse that holds keys and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.kept: list[ApiKey] = []
        self.asked = 0
        self.is_away = False
        self.hangs_s = 0.01

    async def try_ask(self, question: Callable[..., Any]) -> Any:
        self.asked += 1
        if self.is_away:
            raise UnavailableError("away")
        found = list(self.kept)
        await asyncio.sleep(self.hangs_s)
        return found

    def make(self, number: int) -> NewKey:
        made = stranger(number)
        key = ApiKey(
            key_id=made.key_id,
            kind="account",
            account_id="acme",
            name="",
            digest=made.digest,
            created_at=datetime.now(UTC),
        )
        self.kept.append(key)
        return made


def stranger(number: int) -> NewKey:
    return new_key(number.to_bytes(2, "big") * (RANDOM_BYTES // 2))


async def test_a_hundred_unknown_keys_at_once_are_one_reading() -> None:
    keys = Keys()
    ring = KeyRing(keys, Settings())
    answers = await asyncio.gather(*(ring.find(stranger(number).text) for number in range(100)))
    assert set(answers) == {"unknown"}
    assert keys.asked == 1


async def test_a_key_that_was_made_while_keys_were_read_counts_at_once() -> None:
    keys = Keys()
    ring = KeyRing(keys, Settings())
    reading = asyncio.create_task(ring.find(stranger(1).text))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    made = keys.make(2)  # after the question was put, before it was answered
    found = await ring.find(made.text)
    assert isinstance(found, ApiKey) and found.account_id == "acme"
    await reading


async def test_known_keys_count_while_clickhouse_is_away_and_unknown_ones_are_not_called_wrong() -> None:
    keys = Keys()
    ring = KeyRing(keys, Settings())
    known = keys.make(1)
    assert isinstance(await ring.find(known.text), ApiKey)
    keys.is_away = True
    with pytest.raises(Problem) as refused:
        await ring.find(stranger(2).text)
    assert (refused.value.status_code, refused.value.more["missing"]) == (503, ["clickhouse"])
    assert isinstance(await ring.find(known.text), ApiKey)


async def test_a_warehouse_that_hangs_keeps_an_unknown_key_waiting_no_longer_than_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_ring, "LOOK_S", 0.05)
    keys = Keys()
    ring = KeyRing(keys, Settings())
    known = keys.make(1)
    assert isinstance(await ring.find(known.text), ApiKey)
    keys.hangs_s = 30
    async with asyncio.timeout(5):
        with pytest.raises(Problem) as refused:
            await ring.find(stranger(2).text)
        assert (refused.value.status_code, refused.value.more["missing"]) == (503, ["clickhouse"])
        assert isinstance(await ring.find(known.text), ApiKey)


async def test_what_is_no_key_asks_nobody() -> None:
    keys = Keys()
    assert await KeyRing(keys, Settings()).find("hunter2") == "malformed"
    assert keys.asked == 0
