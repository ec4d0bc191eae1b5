"""What a sender is told: not ready, stale, or an answer."""

from collections.abc import Callable

import pytest

from postloop.client.answers import Answers, OnStale
from postloop.client.errors import NotReady, Stale
from postloop.client.replica import Replica
from tests.unit.client.entries import NOW_MS, blocked

LIMIT_S = 60.0
DOMAIN, ADA, EVE = "shop.example", "ada@example.com", "eve@example.com"


class Clocks:
    """Both clocks of a sender."""

    def __init__(self) -> None:
        self.wall_s = NOW_MS / 1000
        self.steady_s = 5000.0


Make = Callable[..., tuple[Answers, Replica, Clocks]]


@pytest.fixture
def make() -> Make:
    """Return a builder of answers, their replica and clocks; the list holds Ada, unless it is not ready."""

    def build(
        *, on_stale: OnStale = "raise", ready: bool = True, hash_key: bytes | None = None, outage: str = ""
    ) -> tuple[Answers, Replica, Clocks]:
        clocks, replica = Clocks(), Replica(hash_key=hash_key)
        replica.take([blocked("global", ADA, expires_ms=NOW_MS + 1000)], now_s=clocks.steady_s)
        if ready:
            replica.answered(since_s=clocks.steady_s, is_whole=True, now_s=clocks.steady_s, now_ms=NOW_MS)
        answers = Answers(
            replica,
            max_staleness_s=LIMIT_S,
            on_stale=on_stale,
            clock=lambda: clocks.wall_s,
            steady=lambda: clocks.steady_s,
            outage=lambda: outage,
        )
        return answers, replica, clocks

    return build


def asked(answers: Answers) -> list[Callable[[], object]]:
    return [
        lambda: answers.allowed(DOMAIN, ADA),
        lambda: answers.allowed_many([(DOMAIN, ADA)]),
        lambda: answers.allowed_many([]),
        lambda: answers.entry(DOMAIN, ADA),
        lambda: answers.entries([(DOMAIN, ADA)]),
        lambda: answers.entries([]),
    ]


def test_a_ready_list_answers(make: Make) -> None:
    answers, _, _ = make()
    assert not answers.allowed(DOMAIN, ADA)
    assert answers.allowed_many([(DOMAIN, ADA), (DOMAIN, EVE)]) == [False, True]
    found = answers.entry(DOMAIN, ADA)
    assert found is not None
    assert (found.scope, found.reason) == ("global", "user_unknown")
    assert answers.entry(DOMAIN, EVE) is None
    assert answers.entries([(DOMAIN, EVE), (DOMAIN, ADA)]) == [None, found]


def test_the_end_of_an_entry_is_compared_with_the_wall_clock(make: Make) -> None:
    answers, _, clocks = make()
    clocks.wall_s += 1
    assert answers.allowed(DOMAIN, ADA)
    assert answers.entry(DOMAIN, ADA) is None


def test_every_question_before_the_first_read_is_refused_with_the_reason(make: Make) -> None:
    answers, _, _ = make(ready=False, outage="nothing listens there")
    for ask in asked(answers):
        with pytest.raises(NotReady, match="nothing listens there"):
            ask()


def test_hashed_entries_without_a_key_are_refused_and_never_allowed(make: Make) -> None:
    answers, replica, clocks = make()
    replica.take([blocked("global", "ab" * 32, is_hashed=True)], now_s=clocks.steady_s)
    for ask in asked(answers):
        with pytest.raises(NotReady, match="hash_key"):
            ask()
    assert not answers.stats().ready


@pytest.mark.parametrize("on_stale", ["raise", "allow", "block"])
def test_a_list_up_to_the_limit_is_not_stale(make: Make, on_stale: OnStale) -> None:
    answers, _, clocks = make(on_stale=on_stale)
    clocks.steady_s += LIMIT_S
    assert answers.allowed_many([(DOMAIN, ADA), (DOMAIN, EVE)]) == [False, True]


def test_every_question_to_a_stale_list_is_refused_with_the_reason(make: Make) -> None:
    answers, _, clocks = make(outage="nothing listens there")
    clocks.steady_s += LIMIT_S + 0.1
    for ask in asked(answers):
        with pytest.raises(Stale, match=r"60 s \(limit 60 s\): nothing listens there"):
            ask()


@pytest.mark.parametrize(
    ("on_stale", "answers_for_ada_and_eve"),
    [
        pytest.param("allow", [False, True], id="allow-goes-on-with-the-entries-known-last"),
        pytest.param("block", [False, False], id="block-is-for-everybody"),
    ],
)
def test_a_stale_list_answers_when_told_so(
    make: Make, on_stale: OnStale, answers_for_ada_and_eve: list[bool]
) -> None:
    answers, _, clocks = make(on_stale=on_stale)
    clocks.steady_s += LIMIT_S + 0.1
    assert answers.allowed_many([(DOMAIN, ADA), (DOMAIN, EVE)]) == answers_for_ada_and_eve
    assert [answers.allowed(DOMAIN, ADA), answers.allowed(DOMAIN, EVE)] == answers_for_ada_and_eve
    assert answers.entry(DOMAIN, ADA) is not None, "why is still told, as it was known last"


def test_what_to_do_when_stale_never_makes_a_list_ready(make: Make) -> None:
    answers, _, _ = make(on_stale="allow", ready=False)
    with pytest.raises(NotReady):
        answers.allowed(DOMAIN, EVE)


def test_a_stale_list_that_is_heard_of_again_answers(make: Make) -> None:
    answers, replica, clocks = make()
    clocks.steady_s += 1000
    replica.answered(since_s=clocks.steady_s, is_whole=True, now_s=clocks.steady_s, now_ms=NOW_MS)
    assert answers.allowed(DOMAIN, EVE)


def test_stats_tell_how_the_list_is(make: Make) -> None:
    answers, _, clocks = make(outage="nothing listens there")
    clocks.steady_s += 3
    stats = answers.stats()
    assert (stats.entries, stats.ready, stats.staleness_s, stats.skipped) == (1, True, 3.0, 0)
    assert stats.bytes > 0
    assert stats.problem == "nothing listens there"


def test_stats_of_a_list_that_was_not_read_yet(make: Make) -> None:
    answers, _, _ = make(ready=False)
    stats = answers.stats()
    assert (stats.entries, stats.ready, stats.staleness_s) == (0, False, None)
    assert "not read to its end" in stats.problem


@pytest.mark.parametrize(("option", "value"), [("on_stale", "ignore"), ("max_staleness_s", 0.0)])
def test_options_that_mean_nothing_are_refused(option: str, value: object) -> None:
    options = {
        "max_staleness_s": LIMIT_S,
        "on_stale": "raise",
        "clock": lambda: 0.0,
        "steady": lambda: 0.0,
        "outage": str,
    }
    with pytest.raises(ValueError, match=option):
        Answers(Replica(), **{**options, option: value})  # type: ignore[arg-type]
