-- Reputation: every change of a grade or of what is advised, and what is said of each sender now.
--
-- Written at least once by the role that decides, so each table keeps one of equal rows, and readers say FINAL.
CREATE TABLE IF NOT EXISTS reputation_log{{on_cluster}}
(
    event_id String,
    account_id LowCardinality(String),
    sender_domain LowCardinality(String),
    mailbox_provider LowCardinality(String) COMMENT 'Empty: with everybody',
    at DateTime64(3, 'UTC'),
    before_score Nullable(Float64),
    before_grade LowCardinality(String) COMMENT 'Empty: the first verdict',
    after_score Nullable(Float64) COMMENT 'NULL: unknown',
    after_grade LowCardinality(String),
    recommendation LowCardinality(String),
    factors String COMMENT 'JSON, as in reputation.change' CODEC(ZSTD(1))
)
ENGINE = {{engine ReplacingMergeTree}}
ORDER BY (account_id, sender_domain, mailbox_provider, at, event_id)
TTL toDateTime(at) + INTERVAL 400 DAY;

{{distributed reputation_log cityHash64(sender_domain)}}

CREATE TABLE IF NOT EXISTS reputation_current{{on_cluster}}
(
    account_id String,
    sender_domain String,
    mailbox_provider LowCardinality(String) COMMENT 'Empty: with everybody',
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
ORDER BY (account_id, sender_domain, mailbox_provider);

{{distributed reputation_current cityHash64(sender_domain)}}

-- Which senders have news is asked every few seconds: by this only what was stored lately is read.
ALTER TABLE events{{on_cluster}} ADD INDEX IF NOT EXISTS by_stored stored_at TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW v_domain_reputation{{on_cluster}}
{{view_rights}}
AS
SELECT
    toString(r.account_id) AS account_id,
    toString(r.sender_domain) AS sender_domain,
    if(r.mailbox_provider = '', NULL, toString(r.mailbox_provider)) AS mailbox_provider,
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
FROM {{all reputation_current}} AS r FINAL;

CREATE OR REPLACE VIEW v_reputation_changes{{on_cluster}}
{{view_rights}}
AS
SELECT
    l.at AS at,
    toString(l.account_id) AS account_id,
    toString(l.sender_domain) AS sender_domain,
    if(l.mailbox_provider = '', NULL, toString(l.mailbox_provider)) AS mailbox_provider,
    if(l.before_grade = '', NULL, toString(l.before_grade)) AS before_grade,
    l.before_score AS before_score,
    toString(l.after_grade) AS after_grade,
    l.after_score AS after_score,
    toString(l.recommendation) AS recommendation,
    l.factors AS factors,
    l.event_id AS event_id
FROM {{all reputation_log}} AS l FINAL;
