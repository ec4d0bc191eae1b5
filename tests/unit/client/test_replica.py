"""A view answers when it is whole, and gives way only to one that is whole too."""

import pytest

from postloop.client.records import Change
from postloop.client.replica import MADE_ANEW, Replica, Settling
from tests.unit.client.entries import NOW_MS, blocked, released

QUIET_S, LONGEST_S = 5.0, 30.0
ADA, EVE = "ada@example.com", "eve@example.com"


class Scene:
    """A replica in a world with a clock."""

    def __init__(self) -> None:
        self.replica = Replica(settling=Settling(quiet_s=QUIET_S, longest_s=LONGEST_S))
        self.now_s = 1000.0

    def take(self, *changes: Change | None) -> None:
        self.replica.take(changes, now_s=self.now_s)

    def answered(self, *, is_whole: bool = True) -> None:
        self.replica.answered(since_s=self.now_s, is_whole=is_whole, now_s=self.now_s, now_ms=NOW_MS)

    def whole(self, *changes: Change | None) -> None:
        self.take(*changes)
        self.answered()

    def is_blocked(self, recipient: str) -> bool:
        assert self.replica.serving is not None
        return self.replica.serving.blocks("shop.example", recipient, now_ms=NOW_MS)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nothing_answers_before_the_first_read_is_whole(scene: Scene) -> None:
    scene.take(blocked("global", ADA))
    scene.answered(is_whole=False)
    assert scene.replica.serving is None
    scene.answered()
    assert scene.is_blocked(ADA)


def test_an_empty_topic_is_a_list_without_entries(scene: Scene) -> None:
    scene.answered()
    assert not scene.is_blocked(ADA)


def test_changes_are_seen_at_once_after_the_first_read(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    scene.take(blocked("global", EVE), released("global", ADA))
    assert (scene.is_blocked(ADA), scene.is_blocked(EVE)) == (False, True)


def test_it_is_as_fresh_as_the_question_that_was_answered_last(scene: Scene) -> None:
    scene.whole()
    scene.now_s += 7
    scene.answered()
    assert scene.replica.heard_s == scene.now_s


def test_what_cannot_be_read_is_counted_and_leaves_the_former_state(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    scene.take(None, None)
    assert scene.replica.skipped_count == 2
    assert scene.is_blocked(ADA)


def test_while_a_new_view_is_filled_the_former_answers_and_ages(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    heard_s = scene.replica.heard_s
    scene.now_s += 1
    scene.replica.start_over()
    scene.take(blocked("global", EVE))
    scene.answered(is_whole=False)
    assert (scene.is_blocked(ADA), scene.is_blocked(EVE)) == (True, False)
    assert scene.replica.heard_s == heard_s


def test_a_new_view_that_is_quiet_takes_the_place_of_the_former(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    scene.replica.start_over()
    scene.whole(blocked("global", EVE))
    assert scene.is_blocked(ADA)
    scene.now_s += QUIET_S
    scene.answered()
    assert (scene.is_blocked(ADA), scene.is_blocked(EVE)) == (False, True)
    assert scene.replica.heard_s == scene.now_s
    assert scene.replica.waits_for == ""


def test_a_new_view_that_is_never_quiet_takes_over_in_the_end(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    scene.replica.start_over()
    for _ in range(int(LONGEST_S)):
        scene.whole(blocked("global", EVE))
        assert not scene.is_blocked(EVE)
        scene.now_s += 1
    scene.whole(blocked("global", EVE))
    assert scene.is_blocked(EVE)


def test_a_topic_that_came_back_empty_releases_nobody(scene: Scene) -> None:
    scene.whole(blocked("global", ADA))
    scene.replica.start_over()
    for _ in range(100):
        scene.answered()
        scene.now_s += 10
    assert scene.is_blocked(ADA)
    assert scene.replica.waits_for == MADE_ANEW


def test_a_list_that_blocks_nobody_any_more_gives_way_at_once(scene: Scene) -> None:
    scene.whole(blocked("global", ADA, expires_ms=NOW_MS))
    scene.replica.start_over()
    scene.whole(blocked("global", EVE))
    assert scene.is_blocked(EVE)


def test_to_start_over_before_the_first_view_is_whole_drops_what_was_read(scene: Scene) -> None:
    scene.take(blocked("global", ADA))
    scene.replica.start_over()
    scene.whole(blocked("global", EVE))
    assert (scene.is_blocked(ADA), scene.is_blocked(EVE)) == (False, True)
