"""Which release this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of the installed package; `unknown` when it runs from bare sources."""
    try:
        return version("postloop")
    except PackageNotFoundError:
        return "unknown"
