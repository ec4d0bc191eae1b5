"""Alerts about delivery and feedback: what all of them have in common, and their sentences."""

from postloop.domain.alert.model import AlertKind, DeliveryAlert, Scope, incident_id
from postloop.domain.alert.texts import describe

__all__ = ["AlertKind", "DeliveryAlert", "Scope", "describe", "incident_id"]
