"""Believable mail traffic with exact expected counts, and the comparison with what was stored."""
