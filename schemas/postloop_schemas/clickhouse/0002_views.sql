-- The views that dashboards may rely on (docs/clickhouse.md). Each windowed one exists twice, from one text: NAME
-- ends now, NAME_at(as_of = '...') at an instant. They run with the rights of whoever migrated, so that a reader
-- needs rights on the views only.
{{windowed_view v_domain_counts}}

{{windowed_view v_open_rate}}

{{windowed_view v_campaign}}

{{windowed_view v_delivery_latency}}

{{windowed_view v_ip_pool}}

CREATE OR REPLACE VIEW v_freshness{{on_cluster}}
{{view_rights}}
AS
SELECT
    topic,
    toDateTime64(max(r.last_event_at), 3, 'UTC') AS last_occurred_at,
    toDateTime64(max(r.last_stored_at), 3, 'UTC') AS last_stored_at,
    greatest(dateDiff('millisecond', last_occurred_at, now64(3, 'UTC')), 0) / 1000 AS lag_s
FROM {{all rollup_hour}} AS r
WHERE cube = 'topic'
GROUP BY topic
HAVING sum(r.event_count) > 0;
