"""Webhooks: who is told what, how it is signed, when it is tried again. Rules without input or output."""
