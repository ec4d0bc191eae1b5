"""Admission of statements, and what a KILL waits for."""

import asyncio

import pytest

from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.running import Places, Running
from postloop.embedded.chserver.sessions import Sessions, SessionState


async def _nothing() -> frozenset[str]:
    return frozenset()


async def test_a_kill_waits_for_an_insert_that_came_before_it() -> None:
    running = Running()
    insert, kill = running.arrive(), running.arrive()
    running.name(insert, "i")
    waiting = asyncio.create_task(running.settle_before(kill, _nothing, limit_s=5))
    await asyncio.sleep(0)
    assert not waiting.done()
    running.leave(insert)
    await waiting


async def test_a_kill_waits_until_the_engine_shows_the_insert() -> None:
    running = Running()
    insert, kill = running.arrive(), running.arrive()
    running.name(insert, "i")
    insert.settled.set()
    answers = iter([frozenset[str](), frozenset({"other"}), frozenset({"i"})])

    async def visible() -> frozenset[str]:
        return next(answers)

    await running.settle_before(kill, visible, limit_s=5)
    assert next(answers, None) is None


async def test_a_kill_does_not_wait_for_what_came_after_it() -> None:
    running = Running()
    kill = running.arrive()
    running.name(running.arrive(), "later")
    await running.settle_before(kill, _nothing, limit_s=5)


async def test_a_kill_gives_up_with_an_error_when_an_earlier_request_hangs() -> None:
    running = Running()
    running.arrive()
    with pytest.raises(QueryError) as caught:
        await running.settle_before(running.arrive(), _nothing, limit_s=0.01)
    assert caught.value.code == 159


async def test_two_running_queries_cannot_share_an_id() -> None:
    running = Running()
    first, second = running.arrive(), running.arrive()
    running.name(first, "same")
    with pytest.raises(QueryError) as caught:
        running.name(second, "same")
    assert caught.value.code == 216
    running.leave(first)
    running.name(second, "same")


@pytest.mark.parametrize("writes", [True, False])
async def test_one_side_leaves_places_to_the_other(writes: bool) -> None:
    places = Places(4, reserved=1, wait_s=0.01)
    held = [places.taken(writes=writes) for _ in range(3)]
    for place in held:
        await place.__aenter__()
    with pytest.raises(QueryError) as caught:
        await places.taken(writes=writes).__aenter__()
    assert (caught.value.code, caught.value.status) == (202, 503)
    async with places.taken(writes=not writes):
        pass
    for place in held:
        await place.__aexit__(None, None, None)


async def test_a_refused_statement_keeps_no_place() -> None:
    places = Places(2, reserved=1, wait_s=0.01)
    async with places.taken(writes=True), places.taken(writes=False):
        for writes in (True, False, True, False):
            with pytest.raises(QueryError):
                await places.taken(writes=writes).__aenter__()
    async with places.taken(writes=True), places.taken(writes=False):
        pass


def test_the_session_used_longest_ago_is_forgotten_first() -> None:
    sessions = Sessions(limit=2)
    for name in ("a", "b"):
        sessions.put(name, SessionState({"x": name}))
    sessions.get("a")
    sessions.put("c", SessionState())
    assert sessions.get("a").settings == {"x": "a"}
    assert sessions.get("b") == SessionState()
