"""The peers: one small, idiomatic consumer each, run as a process of its own."""
