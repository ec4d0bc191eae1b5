"""Answers that are kept for a moment and made once for all who ask."""

import asyncio

import pytest

from postloop.api import recent
from postloop.api.recent import Recent


class Maker:
    """Counts how often it was asked; answers when it is let."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self._fails = fails

    async def make(self) -> int:
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        if self._fails:
            raise LookupError("nothing there")
        return number


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_all_who_ask_while_it_is_made_get_one_answer() -> None:
    async def asked_by_three() -> tuple[list[int], int]:
        answers, maker = Recent[int](keep_s=5), Maker()
        waiting = [asyncio.create_task(answers.get("k", maker.make)) for _ in range(3)]
        await asyncio.sleep(0)
        maker.may_answer.set()
        return await asyncio.gather(*waiting), maker.asked

    assert asyncio.run(asked_by_three()) == ([1, 1, 1], 1)


def test_an_answer_is_kept_as_long_as_is_said_and_keys_are_apart() -> None:
    async def over_time() -> list[int]:
        clock, maker = Clock(), Maker()
        answers = Recent[int](keep_s=5, clock=clock)
        maker.may_answer.set()
        found = []
        for clock.now_s, key in ((0.0, "k"), (4.9, "k"), (4.9, "other"), (5.0, "k")):
            found.append(await answers.get(key, maker.make))
        return found

    assert asyncio.run(over_time()) == [1, 1, 2, 3]


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    async def failing() -> tuple[list[object], int, int]:
        answers, maker = Recent[int](keep_s=5), Maker(fails=True)
        waiting = [asyncio.create_task(answers.get("k", maker.make)) for _ in range(2)]
        await asyncio.sleep(0)
        maker.may_answer.set()
        failed = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(LookupError):
            await answers.get("k", maker.make)
        return [type(one) for one in failed], maker.asked, len(answers)

    assert asyncio.run(failing()) == ([LookupError, LookupError], 2, 0)


def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    async def first_goes() -> int:
        answers, maker = Recent[int](keep_s=5), Maker()
        first, second = (asyncio.create_task(answers.get("k", maker.make)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        maker.may_answer.set()
        return await second

    assert asyncio.run(first_goes()) == 1


def test_the_oldest_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_MAX_ANSWERS", 2)

    async def three_keys() -> tuple[int, int]:
        answers, maker = Recent[int](keep_s=5), Maker()
        maker.may_answer.set()
        for key in ("a", "b", "c"):
            await answers.get(key, maker.make)
        return len(answers), await answers.get("a", maker.make)

    assert asyncio.run(three_keys()) == (2, 4)
