"""Postloop: deliverability feedback for mail platforms, from Kafka to exact aggregates."""
