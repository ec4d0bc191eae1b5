"""The policy of reputation, as the settings say: the name of a preset, or a file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from postloop.domain.errors import DataError
from postloop.domain.reputation import PRESETS, ReputationPolicy, policy_from_plain
from postloop.settings import Settings, SettingsError


def reputation_policy(settings: Settings) -> ReputationPolicy:
    """Return the policy in force.

    Raises:
        SettingsError: There is no such preset, or the file is no policy.
    """
    named = settings.reputation_policy
    if named in PRESETS:
        return PRESETS[named]
    if Path(named).suffix not in (".toml", ".json"):
        known = ", ".join(PRESETS)
        raise SettingsError(
            f"POSTLOOP_REPUTATION_POLICY is one of {known}, or a .toml or .json file: {named!r}"
        )
    try:
        return read_policy(Path(named))
    except DataError as error:
        raise SettingsError(f"POSTLOOP_REPUTATION_POLICY: {error.text}") from error


def read_policy(path: Path) -> ReputationPolicy:
    """Return the policy of a TOML or JSON file: a preset and what differs from it.

    Raises:
        DataError: `unreadable`, or what `policy_from_plain` finds wrong; the text names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        if not isinstance(plain, dict):
            raise DataError("unreadable", "", f"{path} is no policy: it is no table of keys")
        return policy_from_plain(plain)
    except OSError as error:
        raise DataError("unreadable", "", f"cannot read {path}: {error.strerror}") from error
    except DataError as error:
        if not error.field:
            raise
        raise DataError(error.code, error.field, f"{path}: {error.text}") from error
    except RecursionError as error:
        raise DataError("unreadable", "", f"{path} is no policy: it is nested too deep") from error
    except ValueError as error:
        raise DataError("unreadable", "", f"{path} is no policy: {error}") from error
