"""A policy as data, e.g. of a TOML or JSON file: a preset, and what differs from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from postloop.domain.errors import DataError
from postloop.domain.reputation.counts import FACTORS
from postloop.domain.reputation.policy import PRESETS, Limits, ReputationPolicy
from postloop.domain.reputation.windows import WINDOW_NAMES

_PRESET: Final = "preset"
_DEFAULT: Final = "default"


def policy_from_plain(plain: Mapping[str, Any]) -> ReputationPolicy:
    """Return the policy that is described, e.g. `{"preset": "aws", "complaints": {"warning_rate": 0.0008}}`.

    Keys are the names of `ReputationPolicy`, those of a factor the names of `Limits`; what is missing is the preset's.

    Raises:
        DataError: `unknown_key`, `wrong_type` or `out_of_range`; `field` is the key, as in `complaints.warning_rate`.
    """
    name = plain.get(_PRESET, _DEFAULT)
    if not isinstance(name, str) or name not in PRESETS:
        raise DataError("out_of_range", _PRESET, f"{_PRESET} is one of {', '.join(PRESETS)}: {name!r}")
    base = PRESETS[name]
    _refuse_unknown(plain, known=(_PRESET, *FACTORS, *_READERS), where="")
    changed: dict[str, Any] = {
        factor: _limits(plain[factor], base.limits_of(factor), factor)
        for factor in FACTORS
        if factor in plain
    }
    changed |= {key: read(plain[key], key) for key, read in _READERS.items() if key in plain}
    return replace(base, **changed)


def policy_to_plain(policy: ReputationPolicy) -> dict[str, Any]:
    """Return every value of a policy, in the form that `policy_from_plain` reads."""
    plain: dict[str, Any] = {key: getattr(policy, key) for key in _READERS}
    plain["judged_windows"] = list(policy.judged_windows)
    for factor in FACTORS:
        limits = policy.limits_of(factor)
        plain[factor] = {key: getattr(limits, key) for key in _LIMIT_READERS}
    return plain


def _limits(plain: Any, base: Limits, factor: str) -> Limits:
    if not isinstance(plain, Mapping):
        raise _wrong_type(factor, "a table", plain)
    _refuse_unknown(plain, known=tuple(_LIMIT_READERS), where=f"{factor}.")
    changed = {
        key: read(plain[key], f"{factor}.{key}") for key, read in _LIMIT_READERS.items() if key in plain
    }
    try:
        return replace(base, **changed)
    except DataError as error:
        raise DataError(error.code, f"{factor}.{error.field}", f"{factor}.{error.text}") from error


def _refuse_unknown(plain: Mapping[str, Any], *, known: tuple[str, ...], where: str) -> None:
    for key in plain:
        if key not in known:
            text = f"{where}{key} is no key of a policy; there are {', '.join(known)}"
            raise DataError("unknown_key", f"{where}{key}", text)


def _integer(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(key, "a whole number", value)
    return value


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(key, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise DataError("out_of_range", key, f"{key} is larger than a number can be") from None


def _windows(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong_type(key, "a list of windows", value)
    for name in value:
        if name not in WINDOW_NAMES:
            raise DataError("out_of_range", key, f"{key} holds {', '.join(WINDOW_NAMES)}: {name!r}")
    return tuple(value)


def _wrong_type(key: str, wanted: str, value: Any) -> DataError:
    return DataError("wrong_type", key, f"{key} is {wanted}: {value!r}")


_READERS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "min_outcome_count": _integer,
    "min_bad_count": _integer,
    "bound_z": _number,
    "judged_windows": _windows,
    "representative_count": _integer,
    "release_share": _number,
    "clean_days": _number,
    "throttle_below_score": _number,
}
_LIMIT_READERS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "warning_rate": _number,
    "critical_rate": _number,
    "prior_rate": _number,
    "prior_count": _integer,
}
