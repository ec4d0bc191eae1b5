"""Opens by people and by machines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.engagement import AT_ONCE_S, open_kind, open_kind_by_delivery

AGENTS = [
    line.split(maxsplit=2)
    for line in Path(__file__).with_name("user_agents.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)


def agents(wanted: str) -> list[object]:
    return [pytest.param(agent, id=name) for verdict, name, agent in AGENTS if verdict == wanted]


@pytest.mark.parametrize("user_agent", agents("person"))
@pytest.mark.parametrize("since_delivery_s", [None, 0.0, 3_600.0])
def test_a_persons_client_is_a_person_however_soon(user_agent: str, since_delivery_s: float | None) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("human", "client")


@pytest.mark.parametrize("user_agent", agents("proxy"))
def test_an_image_proxy_is_a_person_unless_it_came_at_once(user_agent: str) -> None:
    assert open_kind(user_agent) == ("human", "image_proxy")
    assert open_kind(user_agent, since_delivery_s=AT_ONCE_S) == ("human", "image_proxy")
    assert open_kind(user_agent, since_delivery_s=1.9) == ("machine", "image_proxy_at_once")
    assert open_kind(user_agent, since_delivery_s=0.0) == ("machine", "image_proxy_at_once")


def test_clocks_that_disagree_say_nothing() -> None:
    assert open_kind("via ggpht.com GoogleImageProxy", since_delivery_s=-3.0) == ("human", "image_proxy")


@pytest.mark.parametrize("user_agent", agents("scanner"))
@pytest.mark.parametrize("since_delivery_s", [None, 86_400.0])
def test_a_program_is_a_machine_however_late(user_agent: str, since_delivery_s: float | None) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("machine", "scanner")


@pytest.mark.parametrize(
    ("user_agent", "reason"),
    [
        pytest.param("Mozilla/5.0", "apple_mpp", id="apple-privacy-protection"),
        pytest.param(" Mozilla/5.0 ", "apple_mpp", id="apple-with-blanks"),
        pytest.param(GMAIL_PREFETCH, "prefetch", id="gmail-ahead-of-the-reader"),
    ],
)
@pytest.mark.parametrize("since_delivery_s", [None, 86_400.0])
def test_a_prefetch_is_a_machine_however_late(
    user_agent: str, reason: str, since_delivery_s: float | None
) -> None:
    assert open_kind(user_agent, since_delivery_s=since_delivery_s) == ("machine", reason)


@pytest.mark.parametrize("user_agent", ["", "  "])
def test_without_a_user_agent_a_person_opened(user_agent: str) -> None:
    assert open_kind(user_agent, since_delivery_s=1.0) == ("human", "no_user_agent")


@given(st.text(), st.none() | st.floats(allow_nan=False))
def test_time_alone_never_turns_a_client_into_a_machine(
    user_agent: str, since_delivery_s: float | None
) -> None:
    kind, reason = open_kind(user_agent, since_delivery_s=since_delivery_s)
    assert kind in ("human", "machine")
    if reason in ("client", "no_user_agent"):
        assert kind == "human"


@given(st.sampled_from([agent for _, _, agent in AGENTS]), st.integers(0, 40_000))
def test_capitals_and_a_long_tail_change_nothing(user_agent: str, tail: int) -> None:
    told = open_kind(user_agent)
    assert open_kind(user_agent.upper()) == told
    assert open_kind(user_agent.lower() + " x" * tail) == told


@given(
    st.sampled_from([agent for _, _, agent in AGENTS]),
    st.none() | st.floats(-10, 10),
    st.none() | st.floats(-10, 10),
)
def test_a_verdict_is_judged_again_as_if_the_delivery_had_been_known_and_never_taken_back(
    user_agent: str, since_sent_s: float | None, since_delivery_s: float | None
) -> None:
    kind, reason = open_kind(user_agent, since_delivery_s=since_sent_s)
    again = open_kind_by_delivery(reason, since_delivery_s=since_delivery_s)
    if kind == "machine":
        assert again == (kind, reason)
    else:
        assert again == open_kind(user_agent, since_delivery_s=since_delivery_s)
