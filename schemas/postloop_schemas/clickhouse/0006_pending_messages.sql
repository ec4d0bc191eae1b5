-- Messages by when they were sent, and the view of those that nothing final was heard of.
--
-- Every statement may run twice. Accepted sends, deliveries and final bounces that say when their message was sent are
-- counted by that time (sent_bucket) beside their own (bucket): so a repair of an hour of events still finds all rows of
-- it, and an instant in the past knows what was known then. No feed of its own and no grouping of its own: deliveries
-- stand in the cube 'latency', bounces in 'bounce', whose rows the sending time hardly splits; sends, and bounces without
-- a reason, are a seventh cube, 'cohort'. Rows of before have no sent_bucket: `postloop reconcile` counts them anew.
ALTER TABLE rollup_minute{{on_cluster}}
    {{cohort_dimensions}},
    MODIFY ORDER BY (cube, toDate(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin, reason, hard, fault, sent_bucket);

{{alter_distributed rollup_minute cohort_dimensions}}

ALTER TABLE rollup_hour{{on_cluster}}
    {{cohort_dimensions}},
    MODIFY ORDER BY (cube, toMonday(bucket), account_id, sender_domain, bucket, mailbox_provider, ip_pool, ip_pool_kind, mail_class, campaign_id, template_id, topic, latency_bin, reason, hard, fault, sent_bucket);

{{alter_distributed rollup_hour cohort_dimensions}}

ALTER TABLE rollup_minute_feed{{on_cluster}} MODIFY QUERY
{{rollup_select_v3 toStartOfMinute}};

ALTER TABLE rollup_hour_feed{{on_cluster}} MODIFY QUERY
{{rollup_select_v3 toStartOfHour}};

{{windowed_view v_pending_messages}}
