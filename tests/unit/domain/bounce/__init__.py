"""Replies with labels, and what must hold for every verdict."""
