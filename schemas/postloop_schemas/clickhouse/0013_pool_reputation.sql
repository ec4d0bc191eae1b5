-- Reputation over single IP pools: what is said of each sender over each pool now, and every change of it.
--
-- Tables and views of their own: whoever reads those of 0008 takes a row without a mailbox provider for the whole domain.
-- Written at least once, so each table keeps one of equal rows, and readers say FINAL. Pools come and go: what was not
-- judged for as long as the log reaches is dropped.
CREATE TABLE IF NOT EXISTS reputation_pools{{on_cluster}}
(
    account_id String,
    sender_domain String,
    ip_pool LowCardinality(String),
    ip_pool_kind LowCardinality(String),
    owner_hash UInt64 COMMENT 'Decides which partition owns it',
    at DateTime64(3, 'UTC') COMMENT 'Of the evaluation',
    score Nullable(Float64) COMMENT 'NULL: unknown',
    grade LowCardinality(String),
    recommendation LowCardinality(String),
    outcome_count UInt64,
    complaint_rate Nullable(Float64),
    complaint_low Float64,
    complaint_high Float64,
    hard_bounce_rate Nullable(Float64),
    hard_bounce_low Float64,
    hard_bounce_high Float64,
    refusal_rate Nullable(Float64),
    refusal_low Float64,
    refusal_high Float64,
    state String COMMENT 'Of the rules, JSON' CODEC(ZSTD(1))
)
ENGINE = {{engine ReplacingMergeTree(at)}}
ORDER BY (account_id, sender_domain, ip_pool, ip_pool_kind)
TTL toDateTime(at) + INTERVAL 400 DAY;

{{distributed reputation_pools cityHash64(sender_domain)}}

CREATE TABLE IF NOT EXISTS reputation_pool_log{{on_cluster}}
(
    event_id String,
    account_id LowCardinality(String),
    sender_domain LowCardinality(String),
    ip_pool LowCardinality(String),
    ip_pool_kind LowCardinality(String),
    at DateTime64(3, 'UTC'),
    before_score Nullable(Float64),
    before_grade LowCardinality(String) COMMENT 'Empty: the first verdict',
    after_score Nullable(Float64) COMMENT 'NULL: unknown',
    after_grade LowCardinality(String),
    recommendation LowCardinality(String),
    factors String COMMENT 'JSON, as in reputation.change' CODEC(ZSTD(1))
)
ENGINE = {{engine ReplacingMergeTree}}
ORDER BY (account_id, sender_domain, ip_pool, ip_pool_kind, at, event_id)
TTL toDateTime(at) + INTERVAL 400 DAY;

{{distributed reputation_pool_log cityHash64(sender_domain)}}

CREATE OR REPLACE VIEW v_pool_reputation{{on_cluster}}
{{view_rights}}
AS
SELECT
    toString(r.account_id) AS account_id,
    toString(r.sender_domain) AS sender_domain,
    toString(r.ip_pool) AS ip_pool,
    toString(r.ip_pool_kind) AS ip_pool_kind,
    r.at AS at,
    r.score AS score,
    toString(r.grade) AS grade,
    toString(r.recommendation) AS recommendation,
    r.outcome_count AS outcome_count,
    r.complaint_rate AS complaint_rate,
    r.complaint_low AS complaint_low,
    r.complaint_high AS complaint_high,
    r.hard_bounce_rate AS hard_bounce_rate,
    r.hard_bounce_low AS hard_bounce_low,
    r.hard_bounce_high AS hard_bounce_high,
    r.refusal_rate AS refusal_rate,
    r.refusal_low AS refusal_low,
    r.refusal_high AS refusal_high
FROM {{all reputation_pools}} AS r FINAL;

CREATE OR REPLACE VIEW v_pool_reputation_changes{{on_cluster}}
{{view_rights}}
AS
SELECT
    l.at AS at,
    toString(l.account_id) AS account_id,
    toString(l.sender_domain) AS sender_domain,
    toString(l.ip_pool) AS ip_pool,
    toString(l.ip_pool_kind) AS ip_pool_kind,
    if(l.before_grade = '', NULL, toString(l.before_grade)) AS before_grade,
    l.before_score AS before_score,
    toString(l.after_grade) AS after_grade,
    l.after_score AS after_score,
    toString(l.recommendation) AS recommendation,
    l.factors AS factors,
    l.event_id AS event_id
FROM {{all reputation_pool_log}} AS l FINAL;
