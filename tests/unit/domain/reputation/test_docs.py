"""docs/reputation.md says what the code does."""

from pathlib import Path

import pytest

from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY, FACTORS, PRESETS, policy_to_plain

PAGE = (Path(__file__).parents[4] / "docs" / "reputation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_of_presets_is_that_of_the_code(name: str) -> None:
    limits = [PRESETS[name].limits_of(factor) for factor in FACTORS]
    cells = " | ".join(f"{one.warning_rate} / {one.critical_rate}" for one in limits)
    assert f"| `{name}` | {cells} |" in PAGE


def test_every_key_of_a_policy_is_named() -> None:
    plain = policy_to_plain(DEFAULT_REPUTATION_POLICY)
    keys = {*plain, *plain["complaints"]}
    assert {key for key in keys if f"`{key}`" not in PAGE and f"{key} =" not in PAGE} == set()


def test_the_numbers_of_the_policy_are_those_of_the_code() -> None:
    policy = DEFAULT_REPUTATION_POLICY
    for said in (
        f"fewer than {policy.min_outcome_count} outcomes",
        f"hold {policy.representative_count:,} outcomes",
        f"**{policy.release_share:.0%} of the limits** for **{policy.clean_days} days**".replace("%", " %"),
        f"a score under {policy.throttle_below_score}",
    ):
        assert said in PAGE
