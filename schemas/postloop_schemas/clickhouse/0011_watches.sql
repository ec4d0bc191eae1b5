-- What the reputation role knows of delivery times and of feedback that should arrive, and the view of alerts once more.
--
-- A copy of the changelog of the role, from which it is restored. Written at least once; readers say FINAL.
CREATE TABLE IF NOT EXISTS delivery_watches{{on_cluster}}
(
    key String COMMENT '`d|` and a scope: its delivery times; `s|`, a scope and a kind of feedback: whether it arrives',
    owner_hash UInt64 COMMENT 'Decides which partition owns it',
    version UInt64 COMMENT 'When it was written, in milliseconds',
    value String CODEC(ZSTD(1)),
    is_deleted UInt8
)
ENGINE = {{engine ReplacingMergeTree(version, is_deleted)}}
ORDER BY key;

{{distributed delivery_watches cityHash64(key)}}

-- Two kinds of feedback of one sender can fall silent in the same hour: those are two alerts. What began is told apart
-- by its id, which every event has in its figures.
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
GROUP BY kind, a.account_id, a.sender_domain, a.mailbox_provider, started_at,
    JSONExtractString(a.figures, 'incident_id');
