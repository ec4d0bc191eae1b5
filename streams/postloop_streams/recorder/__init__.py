"""The recorder role: every event of the input topics becomes one row in ClickHouse, exactly once."""
