-- Webhooks: the endpoints, every attempt, what was given up, and how much waits.
--
-- Nothing here is read to decide what is sent: topics and local files are, and these tables are written after them, at
-- least once. So each keeps one of equal rows, and readers say FINAL. The views show no secret and no body.
CREATE TABLE IF NOT EXISTS webhook_endpoints{{on_cluster}}
(
    endpoint_id String,
    account_id LowCardinality(String) COMMENT 'Empty: the operator',
    version UInt64 COMMENT 'Of the record in the topic: the highest one counts',
    is_deleted UInt8,
    state LowCardinality(String) COMMENT 'active, paused, disabled',
    cause LowCardinality(String) COMMENT 'Why it is disabled: failing, gone, operator',
    value String COMMENT 'The record of the topic, its secrets sealed' CODEC(ZSTD(1))
)
ENGINE = {{engine ReplacingMergeTree(version, is_deleted)}}
ORDER BY endpoint_id;

{{distributed webhook_endpoints cityHash64(endpoint_id)}}

CREATE TABLE IF NOT EXISTS webhook_attempts{{on_cluster}}
(
    endpoint_id LowCardinality(String),
    at DateTime64(3, 'UTC') COMMENT 'When it ended',
    webhook_id String,
    attempt UInt16 COMMENT 'From 1',
    request_id String COMMENT 'The id of the batch it went out in; empty: alone',
    account_id LowCardinality(String) COMMENT 'Empty: the operator',
    event_id String,
    type LowCardinality(String),
    outcome LowCardinality(String) COMMENT 'delivered, retried, given_up',
    error_class LowCardinality(String) COMMENT 'Empty: none',
    status UInt16 COMMENT '0: no response',
    latency_ms UInt32,
    next_attempt_at Nullable(DateTime64(3, 'UTC')),
    response String COMMENT 'The beginning of what the receiver said' CODEC(ZSTD(1)),
    is_test Bool,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {{engine ReplacingMergeTree}}
PARTITION BY toYYYYMM(at)
ORDER BY (endpoint_id, at, webhook_id, attempt);

{{distributed webhook_attempts cityHash64(endpoint_id)}}

-- With the body, so that it can be sent again when the file of the role is gone; never longer than it can be recovered.
CREATE TABLE IF NOT EXISTS webhook_dead{{on_cluster}}
(
    endpoint_id LowCardinality(String),
    webhook_id String,
    at DateTime64(3, 'UTC') COMMENT 'When it was given up',
    account_id LowCardinality(String) COMMENT 'Empty: the operator',
    event_id String,
    type LowCardinality(String),
    attempt_count UInt16,
    cause LowCardinality(String),
    body String CODEC(ZSTD(1))
)
ENGINE = {{engine ReplacingMergeTree(at)}}
ORDER BY (endpoint_id, webhook_id)
TTL toDateTime(at) + toIntervalDay(14);

{{distributed webhook_dead cityHash64(endpoint_id)}}

CREATE TABLE IF NOT EXISTS webhook_backlog{{on_cluster}}
(
    endpoint_id String,
    at DateTime64(3, 'UTC'),
    account_id LowCardinality(String),
    waiting_count UInt64,
    dead_count UInt64 COMMENT 'Given up, and can be recovered'
)
ENGINE = {{engine ReplacingMergeTree(at)}}
ORDER BY endpoint_id;

{{distributed webhook_backlog cityHash64(endpoint_id)}}

-- One row an endpoint that is not removed: attempts of the last 24 hours, and what waits as the role said last.
CREATE OR REPLACE VIEW v_webhook_health{{on_cluster}}
{{view_rights}}
AS
SELECT
    e.account_id AS account_id,
    e.endpoint_id AS endpoint_id,
    a.delivered_count AS delivered_count,
    a.failed_count AS failed_count,
    b.waiting_count AS pending_count,
    if(a.delivered_count + a.failed_count > 0, a.p95_s, NULL) AS p95_s,
    e.state AS state
FROM (SELECT endpoint_id, account_id, state FROM {{all webhook_endpoints}} FINAL WHERE is_deleted = 0) AS e
LEFT JOIN
(
    SELECT
        toString(endpoint_id) AS endpoint_id,
        countIf(outcome = 'delivered') AS delivered_count,
        countIf(outcome != 'delivered') AS failed_count,
        toFloat64(quantileTiming(0.95)(latency_ms)) / 1000 AS p95_s
    FROM {{all webhook_attempts}} FINAL
    WHERE at >= now64(3, 'UTC') - toIntervalHour(24) AND NOT is_test
    GROUP BY endpoint_id
) AS a ON e.endpoint_id = a.endpoint_id
LEFT JOIN (SELECT endpoint_id, waiting_count FROM {{all webhook_backlog}} FINAL) AS b
ON e.endpoint_id = b.endpoint_id;

CREATE OR REPLACE VIEW v_webhook_attempts{{on_cluster}}
{{view_rights}}
AS
SELECT
    at,
    account_id,
    endpoint_id,
    type,
    event_id,
    webhook_id,
    request_id,
    attempt,
    outcome,
    error_class,
    status,
    latency_ms / 1000 AS latency_s,
    next_attempt_at,
    response,
    is_test
FROM {{all webhook_attempts}} FINAL;

CREATE OR REPLACE VIEW v_webhook_dead{{on_cluster}}
{{view_rights}}
AS
SELECT
    at,
    account_id,
    endpoint_id,
    type,
    event_id,
    webhook_id,
    attempt_count,
    cause
FROM {{all webhook_dead}} FINAL;
