"""The policy of reputation is what the setting says: a preset, or a file; anything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postloop.adapters.reputation_policy import reputation_policy
from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY, PRESETS, policy_to_plain
from postloop.settings import Settings, SettingsError


def policy(named: str | Path) -> object:
    return reputation_policy(Settings(_env_file=None, reputation_policy=str(named)))


def test_without_a_setting_the_default_is_in_force() -> None:
    assert reputation_policy(Settings(_env_file=None)) == DEFAULT_REPUTATION_POLICY


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_named(name: str) -> None:
    assert policy(name) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_says_every_value(name: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy_to_plain(PRESETS[name])))
    assert policy(file) == PRESETS[name]


def test_a_file_says_what_differs_from_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('preset = "aws"\nclean_days = 5\n')
    found = policy(file)
    assert (found.clean_days, found.complaints) == (5, PRESETS["aws"].complaints)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clean_weeks = 1", "clean_weeks is no key of a policy"),
        ("clean_days = 99", "clean_days is between 0 and 30: 99"),
        ("clean_days =", "is no policy"),
        ("bound_z = 1" + 400 * "0", "bound_z is larger than a number can be"),
    ],
    ids=["unknown key", "out of range", "no TOML", "no float"],
)
def test_a_file_that_is_no_policy_is_refused_with_its_fault(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words) as error:
        policy(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1]", "is no policy: it is no table of keys"), ('{"refusals":' * 100_000, "is nested too deep")],
    ids=["a list", "nested"],
)
def test_json_that_is_no_policy_is_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        policy(file)


@pytest.mark.parametrize("named", ["strict", "/nowhere/policy.toml"], ids=["no preset", "no file"])
def test_what_there_is_not_is_refused_by_name(named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        policy(named)
