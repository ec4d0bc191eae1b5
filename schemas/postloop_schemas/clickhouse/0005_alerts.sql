-- Alerts about delivery, and what the incident guard knows.
--
-- One row an event of `delivery.alert`: an alert begins with one event and ends with another. Written at least once,
-- so each table keeps one of equal rows, and readers say FINAL.
CREATE TABLE IF NOT EXISTS delivery_alerts{{on_cluster}}
(
    event_id String,
    kind LowCardinality(String) COMMENT 'provider_outage, slow, silence, delays',
    account_id String COMMENT 'Empty: not about one account',
    sender_domain String COMMENT 'Empty: not about one sender domain',
    mailbox_provider LowCardinality(String) COMMENT 'Empty: not about one mailbox provider',
    started_at DateTime64(3, 'UTC') COMMENT 'Estimated',
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL: the event of the beginning',
    figures String COMMENT 'JSON' CODEC(ZSTD(1)),
    text String CODEC(ZSTD(1)),
    published_at DateTime64(3, 'UTC')
)
ENGINE = {{engine ReplacingMergeTree(published_at)}}
ORDER BY (kind, mailbox_provider, account_id, sender_domain, started_at, event_id)
TTL toDateTime(published_at) + INTERVAL 400 DAY;

{{distributed delivery_alerts cityHash64(kind, mailbox_provider, account_id, sender_domain)}}

-- A copy of what the guard keeps in the changelog of the blocklist role: the bounces that it holds (`h|`), the holds of
-- each provider (`g|`), and what is usual of it (`p|`).
CREATE TABLE IF NOT EXISTS blocklist_guard{{on_cluster}}
(
    key String,
    owner_hash UInt64 COMMENT 'Decides which partition owns it; every partition has the holds',
    version UInt64,
    value String CODEC(ZSTD(1)),
    is_deleted UInt8
)
ENGINE = {{engine ReplacingMergeTree(version, is_deleted)}}
ORDER BY key;

{{distributed blocklist_guard cityHash64(key)}}

-- Each alert once: how it began and, when it is over, how it ended.
CREATE OR REPLACE VIEW v_delivery_alerts{{on_cluster}}
{{view_rights}}
AS
SELECT
    kind,
    if(a.account_id = '', NULL, a.account_id) AS account_id,
    if(a.sender_domain = '', NULL, a.sender_domain) AS sender_domain,
    if(a.mailbox_provider = '', NULL, toString(a.mailbox_provider)) AS mailbox_provider,
    started_at,
    max(a.ended_at) AS ended_at,
    argMin(a.figures, isNotNull(a.ended_at)) AS figures,
    argMaxIf(a.figures, a.published_at, isNotNull(a.ended_at)) AS end_figures,
    argMax(a.text, (isNotNull(a.ended_at), a.published_at)) AS text
FROM {{all delivery_alerts}} AS a FINAL
GROUP BY kind, a.account_id, a.sender_domain, a.mailbox_provider, started_at;
