-- The verdict of the classifier beside each bounce, the cause beside each rejected send, and counts by reason.
--
-- Every statement may run twice. Recorders of the release before may insert meanwhile: a feed is changed in place,
-- so that no row is without one, and what they store has no verdict until `postloop reclassify` has run.
ALTER TABLE events{{on_cluster}}
    {{verdict_columns}};

{{alter_distributed events verdict_columns}}

-- A sixth cube, 'bounce', holds final bounces by reason. It shares the grouping of the cube 'latency', which bounces
-- have no part in (their latency_bin is -1): another grouping set would cost every insert, and most hold no bounce.
-- refusal_count, in every cube, are final bounces for which the sender is at fault.
ALTER TABLE rollup_minute{{on_cluster}}
    {{bounce_dimensions}},
    MODIFY ORDER BY (cube, toDate(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin, reason, hard, fault);

{{alter_distributed rollup_minute bounce_dimensions}}

ALTER TABLE rollup_hour{{on_cluster}}
    {{bounce_dimensions}},
    MODIFY ORDER BY (cube, toMonday(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin, reason, hard, fault);

{{alter_distributed rollup_hour bounce_dimensions}}

ALTER TABLE rollup_minute_feed{{on_cluster}} MODIFY QUERY
{{rollup_select_v2 toStartOfMinute}};

ALTER TABLE rollup_hour_feed{{on_cluster}} MODIFY QUERY
{{rollup_select_v2 toStartOfHour}};

-- What `postloop reclassify` is about to write: places of rows with their new verdicts. Empty when none runs.
CREATE TABLE IF NOT EXISTS verdict_changes{{on_cluster}}
(
    day Date COMMENT 'Of the Kafka record: the partition of events',
    hour DateTime('UTC') COMMENT 'Of event time',
    is_counted Bool COMMENT 'Counts of the hour move, and must be compared with the rollups afterwards',
    topic_id LowCardinality(String),
    `partition` Int32,
    `offset` Int64,
    `index` UInt32,
    outcome LowCardinality(String),
    reason LowCardinality(String),
    hard Bool,
    fault LowCardinality(String),
    rule LowCardinality(String),
    confidence Float32,
    rules_version LowCardinality(String),
    cause LowCardinality(String)
)
ENGINE = {{engine_everywhere MergeTree}}
ORDER BY (topic_id, `partition`, `offset`, `index`);

{{windowed_view v_campaign v_campaign_v2}}

{{windowed_view v_bounce_reasons}}
