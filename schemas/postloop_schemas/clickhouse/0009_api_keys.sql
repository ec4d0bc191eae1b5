-- Keys of the API. Of a key's text only a SHA-256 is kept, so whoever reads these tables can use none.
--
-- When a key was used last stands in a table of its own: many processes say it, late and often, and none of them may
-- undo a revocation by writing a row that it read before.
CREATE TABLE IF NOT EXISTS api_keys{{on_cluster}}
(
    key_id String,
    version UInt64 COMMENT 'Microseconds since 1970: the highest one counts',
    kind LowCardinality(String) COMMENT 'account, operator',
    account_id String COMMENT 'Empty: an operator',
    name String,
    digest String COMMENT 'SHA-256 of the text, in hexadecimal',
    created_at DateTime64(3, 'UTC'),
    expires_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL: no end',
    revoked_at Nullable(DateTime64(3, 'UTC'))
)
ENGINE = {{engine ReplacingMergeTree(version)}}
ORDER BY key_id;

{{distributed api_keys cityHash64(key_id)}}

CREATE TABLE IF NOT EXISTS api_key_uses{{on_cluster}}
(
    key_id String,
    last_used_at DateTime64(3, 'UTC')
)
ENGINE = {{engine ReplacingMergeTree(last_used_at)}}
ORDER BY key_id;

{{distributed api_key_uses cityHash64(key_id)}}
