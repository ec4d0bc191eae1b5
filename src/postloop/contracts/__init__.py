"""What crosses a process boundary: pydantic models of topics, and how bytes become rows."""
