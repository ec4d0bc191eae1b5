-- What the API and its status page ask for, found without reading everything.
--
-- The log of the blocklist is sorted by recipient. Parts that hold old changes only are passed by.
ALTER TABLE blocklist_log{{on_cluster}} ADD INDEX IF NOT EXISTS by_at at TYPE minmax GRANULARITY 1;

ALTER TABLE blocklist_log{{on_cluster}} MATERIALIZE INDEX by_at;
