-- Raw events and their rollups.
--
-- Every statement may run twice (IF NOT EXISTS): a migration that broke off in the middle is simply run again.
-- What to keep for how long is not said here: `postloop migrate` sets it from the settings.
--
-- `events` holds one row per accepted event. It is partitioned by the day of the Kafka record timestamp, not of
-- the event: a run of records is then one part, stored whole or not at all (docs/decisions/0002). The projection
-- answers "what was stored last of this Kafka partition?" from a few rows per part.
CREATE TABLE IF NOT EXISTS events{{on_cluster}}
(
    topic LowCardinality(String) COMMENT 'Contract name of the topic, without prefix',
    topic_id LowCardinality(String) COMMENT 'Identity of the topic as the broker reports it; a recreated topic has another',
    `partition` Int32,
    `offset` Int64,
    `index` UInt32 COMMENT 'Place in the array of the record, 0 for a single object',
    run_id String COMMENT 'The insert run that stored the row, also its deduplication token',
    record_at DateTime64(3, 'UTC') COMMENT 'Timestamp of the Kafka record',
    stored_at DateTime64(3, 'UTC') COMMENT 'When the recorder cut the run',
    event_type LowCardinality(String),
    event_id String,
    occurred_at DateTime64(3, 'UTC'),
    account_id LowCardinality(String),
    message_id String,
    sender_domain LowCardinality(String),
    recipient String COMMENT 'Canonical form',
    recipient_raw String COMMENT 'As given, where it differs from the canonical form',
    recipient_domain LowCardinality(String),
    recipient_valid Bool,
    mailbox_provider LowCardinality(String),
    reports_complaints Bool COMMENT 'The provider runs a feedback loop',
    schema_version UInt8,
    mail_class LowCardinality(String),
    ip_pool LowCardinality(String),
    ip_pool_kind LowCardinality(String),
    sent_at Nullable(DateTime64(3, 'UTC')),
    campaign_id LowCardinality(String),
    template_id LowCardinality(String),
    tags Array(LowCardinality(String)),
    outcome LowCardinality(String) COMMENT 'accepted, rejected, suppressed, delivered, hard_bounce, soft_bounce, deferral, complaint, not_spam, open, unsubscribe',
    status LowCardinality(String),
    error_code LowCardinality(String),
    error_message String,
    source_ip LowCardinality(String),
    smtp_response String,
    remote_host LowCardinality(String),
    action LowCardinality(String),
    smtp_code UInt16 COMMENT '0 where none was given',
    enhanced_code LowCardinality(String),
    diagnostic String,
    smtp_command LowCardinality(String),
    attempt UInt16 COMMENT '0 where none was given',
    feedback_type LowCardinality(String),
    reporting_provider LowCardinality(String),
    user_agent LowCardinality(String),
    open_kind LowCardinality(String) COMMENT 'human, machine, or empty',
    open_reason LowCardinality(String),
    method LowCardinality(String),
    latency_ms Int64 DEFAULT if(outcome = 'delivered' AND isNotNull(sent_at), greatest(dateDiff('millisecond', assumeNotNull(sent_at), occurred_at), 0), -1)
        COMMENT 'Sending to delivery; -1 where it is not known',
    latency_bin Int16 DEFAULT if(latency_ms < 0, -1, toInt16(ceil(log2(greatest(latency_ms, 1)) * 16)))
        COMMENT 'Bin b holds latencies in (2^((b-1)/16), 2^(b/16)] milliseconds',
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 2,
    INDEX by_recipient recipient TYPE bloom_filter(0.01) GRANULARITY 2,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_time occurred_at TYPE minmax GRANULARITY 1,
    PROJECTION last_stored
    (
        SELECT topic_id, `partition`, max(`offset`), argMax(run_id, `offset`), max(stored_at)
        GROUP BY topic_id, `partition`
    )
)
ENGINE = {{engine MergeTree}}
PARTITION BY toDate(record_at)
ORDER BY (account_id, sender_domain, event_type, occurred_at)
SETTINGS {{dedup_settings}}, ttl_only_drop_parts = 1;

{{distributed events cityHash64(sender_domain)}}

-- One table per resolution holds five cubes over different dimensions, so that an insert feeds two views and not
-- ten (docs/decisions/0003): 'domain', 'campaign' (where a campaign or template was given), 'latency' (deliveries
-- by latency bin), 'pool' (where an IP pool was given, over all accounts) and 'topic' (freshness). A dimension
-- that a cube does not have is empty. All counters are signed sums: a repair inserts the difference. Sketches do
-- not change when the same opens are added again.
--
-- The day (week) of the bucket stands before the account in the sorting key: a window over all accounts then reads
-- its days only, and one account still reads one stretch per day (week).
CREATE TABLE IF NOT EXISTS rollup_minute{{on_cluster}}
(
    cube LowCardinality(String),
    bucket DateTime('UTC'),
    account_id LowCardinality(String),
    sender_domain LowCardinality(String),
    mailbox_provider LowCardinality(String),
    ip_pool LowCardinality(String),
    ip_pool_kind LowCardinality(String),
    mail_class LowCardinality(String),
    campaign_id LowCardinality(String),
    template_id LowCardinality(String),
    topic LowCardinality(String),
    latency_bin Int16,
    event_count SimpleAggregateFunction(sum, Int64),
    send_count SimpleAggregateFunction(sum, Int64),
    rejected_count SimpleAggregateFunction(sum, Int64),
    suppressed_count SimpleAggregateFunction(sum, Int64),
    delivered_count SimpleAggregateFunction(sum, Int64),
    reporting_delivered_count SimpleAggregateFunction(sum, Int64),
    hard_bounce_count SimpleAggregateFunction(sum, Int64),
    soft_bounce_count SimpleAggregateFunction(sum, Int64),
    deferral_count SimpleAggregateFunction(sum, Int64),
    complaint_count SimpleAggregateFunction(sum, Int64),
    unsubscribe_count SimpleAggregateFunction(sum, Int64),
    open_count SimpleAggregateFunction(sum, Int64),
    delayed_count SimpleAggregateFunction(sum, Int64),
    opens AggregateFunction(uniqCombined64, UInt64),
    human_opens AggregateFunction(uniqCombined64, UInt64),
    last_event_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    last_stored_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toYYYYMM(bucket)
ORDER BY (cube, toDate(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin)
SETTINGS {{dedup_settings}};

{{distributed rollup_minute cityHash64(sender_domain)}}

CREATE TABLE IF NOT EXISTS rollup_hour{{on_cluster}} AS rollup_minute
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toYYYYMM(bucket)
ORDER BY (cube, toMonday(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin)
SETTINGS {{dedup_settings}};

{{distributed rollup_hour cityHash64(sender_domain)}}

-- Both rollups are fed from the raw rows, never the hour from the minute: each stands on its own token.
CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_minute_feed{{on_cluster}} TO rollup_minute AS
{{rollup_select toStartOfMinute}};

CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_hour_feed{{on_cluster}} TO rollup_hour AS
{{rollup_select toStartOfHour}};

-- Records that could not be read, by where they stood in the log: a repeat replaces its first copy.
CREATE TABLE IF NOT EXISTS dead_letters{{on_cluster}}
(
    event_id String,
    topic LowCardinality(String),
    topic_id LowCardinality(String),
    `partition` Int32,
    `offset` Int64,
    `index` Int64 COMMENT '-1 where the whole record is meant',
    key_base64 String,
    value_base64 String,
    stage LowCardinality(String),
    error_code LowCardinality(String) COMMENT 'Code of the first error',
    errors String COMMENT 'JSON array of {code, field, text}',
    at DateTime64(3, 'UTC')
)
ENGINE = {{engine ReplacingMergeTree(at)}}
ORDER BY (topic, topic_id, `partition`, `offset`, `index`);

{{distributed dead_letters cityHash64(topic, `partition`)}}

CREATE TABLE IF NOT EXISTS dead_letter_redrives{{on_cluster}}
(
    event_id String COMMENT 'Of the dead letter',
    redriven_at DateTime64(3, 'UTC')
)
ENGINE = {{engine MergeTree}}
ORDER BY event_id;

{{distributed dead_letter_redrives cityHash64(event_id)}}

-- Hours whose rollups must be compared with the raw rows, because an insert of theirs had to be healed.
CREATE TABLE IF NOT EXISTS reconcile_queue{{on_cluster}}
(
    hour DateTime('UTC'),
    queued_at DateTime64(3, 'UTC'),
    done UInt8,
    reason LowCardinality(String)
)
ENGINE = {{engine ReplacingMergeTree(done)}}
ORDER BY (hour, queued_at);

{{distributed reconcile_queue cityHash64(hour)}}
