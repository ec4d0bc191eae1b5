"""Everything on one machine: broker, ClickHouse protocol server and the supervisor of `postloop up`."""
