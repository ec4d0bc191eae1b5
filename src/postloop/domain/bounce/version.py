"""Which rules gave a verdict."""

from typing import Final

RULES_VERSION: Final = "28cd28fd671f"
"""Digest of the rule files and of the code that reads them; tests/unit/domain/bounce/test_version.py says the value.

It is stored beside each verdict, so that `postloop reclassify` knows what an older set of rules decided.
"""
