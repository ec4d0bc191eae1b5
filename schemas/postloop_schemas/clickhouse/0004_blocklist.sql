-- The blocklist: what was published of it, what is known of each address, and who asked for what.
--
-- Nothing here is read to decide who may be mailed: topics are, and these tables are written after them, at least
-- once. So each table keeps one of equal rows, and readers say FINAL. None forgets by itself: why somebody was
-- blocked must stay answerable, and an entry without an end lasts longer than any retention.
--
-- Keyed by the id of the event and not by its time: a change that is published again after a crash has the same id
-- and a later clock. The later one stays.
CREATE TABLE IF NOT EXISTS blocklist_log{{on_cluster}}
(
    event_id String,
    change LowCardinality(String) COMMENT 'inserted, extended, expired',
    entry_id String COMMENT 'The same from the insert over all extensions to the expire',
    scope LowCardinality(String) COMMENT 'global, or a sender domain',
    recipient String COMMENT 'As published: canonical, or its HMAC-SHA256',
    recipient_form LowCardinality(String),
    mailbox_provider LowCardinality(String),
    reason LowCardinality(String),
    cause_account_ids Array(String) COMMENT 'For the platform only',
    source_event_ids Array(String),
    smtp_text String CODEC(ZSTD(1)),
    rule LowCardinality(String),
    rule_version LowCardinality(String),
    starts_at DateTime64(3, 'UTC'),
    inserted_at DateTime64(3, 'UTC'),
    expires_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL: no end of itself',
    cause LowCardinality(String) COMMENT 'Of an expire: lease_ended, unblocked, rolled_back, opt_in, delivered',
    at DateTime64(3, 'UTC') COMMENT 'When the change was made'
)
ENGINE = {{engine ReplacingMergeTree(at)}}
ORDER BY (recipient, scope, event_id);

{{distributed blocklist_log cityHash64(recipient)}}

-- A copy of the changelog of the blocklist role, from which the role can be restored. A deleted row stays as a mark
-- that older versions lose against.
CREATE TABLE IF NOT EXISTS blocklist_entries{{on_cluster}}
(
    recipient_hash UInt64 COMMENT 'Decides which partition owns the address',
    scope LowCardinality(String),
    recipient String,
    version UInt64,
    value String COMMENT 'What the role knows, as it keeps it' CODEC(ZSTD(1)),
    is_deleted UInt8,
    is_active Bool COMMENT 'It blocks, unless expires_at has passed',
    entry_id String,
    reason LowCardinality(String),
    cause_account_ids Array(String) COMMENT 'For the platform only',
    mailbox_provider LowCardinality(String),
    recipient_form LowCardinality(String),
    smtp_text String CODEC(ZSTD(1)),
    rule LowCardinality(String),
    rule_version LowCardinality(String),
    source_event_ids Array(String),
    starts_at Nullable(DateTime64(3, 'UTC')),
    inserted_at Nullable(DateTime64(3, 'UTC')),
    expires_at Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL: no end of itself',
    last_delivery_at Nullable(DateTime64(3, 'UTC')),
    INDEX by_recipient recipient TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{engine ReplacingMergeTree(version, is_deleted)}}
ORDER BY (recipient_hash, scope, recipient);

{{distributed blocklist_entries recipient_hash}}

-- By recipient, as one asks: what was done to this address?
CREATE TABLE IF NOT EXISTS blocklist_commands{{on_cluster}}
(
    command_id String,
    command LowCardinality(String) COMMENT 'block, unblock, extend, opt_in, rollback',
    scope LowCardinality(String),
    recipient String,
    actor_kind LowCardinality(String) COMMENT 'account, operator',
    actor_id String,
    reason String,
    requested_at DateTime64(3, 'UTC'),
    answered_at DateTime64(3, 'UTC'),
    outcome LowCardinality(String) COMMENT 'done, refused, not_found',
    code LowCardinality(String),
    text String,
    event_ids Array(String) COMMENT 'Of the changes that it led to'
)
ENGINE = {{engine ReplacingMergeTree(answered_at)}}
ORDER BY (recipient, scope, command_id);

{{distributed blocklist_commands cityHash64(recipient)}}

-- What blocks now. Role and database may disagree for as long as the journal of the role lags.
CREATE OR REPLACE VIEW v_blocklist_active{{on_cluster}}
{{view_rights}}
AS
SELECT
    scope,
    recipient,
    recipient_form,
    reason,
    mailbox_provider,
    cause_account_ids,
    assumeNotNull(e.starts_at) AS starts_at,
    assumeNotNull(e.inserted_at) AS inserted_at,
    expires_at,
    entry_id,
    smtp_text,
    rule,
    rule_version,
    source_event_ids
FROM {{all blocklist_entries}} AS e FINAL
WHERE {{blocks_now}};

-- The same for one account, which may know that it is not alone and never with whom. Evidence may be of another
-- account's mail, so there is none.
CREATE OR REPLACE VIEW v_blocklist_account{{on_cluster}}
{{view_rights}}
AS
SELECT
    arrayJoin(e.cause_account_ids) AS account_id,
    scope,
    recipient,
    recipient_form,
    reason,
    mailbox_provider,
    toBool(length(e.cause_account_ids) > 1) AS blocked_by_others,
    assumeNotNull(e.inserted_at) AS inserted_at,
    expires_at,
    entry_id
FROM {{all blocklist_entries}} AS e FINAL
WHERE {{blocks_now}};

-- Every change once, with the command that led to it. Both sides carry the recipient, so that a question about one
-- address reads little of either.
CREATE OR REPLACE VIEW v_blocklist_history{{on_cluster}}
{{view_rights}}
AS
SELECT
    l.at AS at,
    l.change AS change,
    l.cause AS cause,
    l.scope AS scope,
    l.recipient AS recipient,
    l.recipient_form AS recipient_form,
    l.reason AS reason,
    l.mailbox_provider AS mailbox_provider,
    l.cause_account_ids AS cause_account_ids,
    l.starts_at AS starts_at,
    l.inserted_at AS inserted_at,
    l.expires_at AS expires_at,
    l.entry_id AS entry_id,
    l.event_id AS event_id,
    l.source_event_ids AS source_event_ids,
    l.smtp_text AS smtp_text,
    l.rule AS rule,
    l.rule_version AS rule_version,
    c.command_id AS command_id,
    c.actor_kind AS actor_kind,
    c.actor_id AS actor_id,
    c.command_reason AS command_reason
FROM (SELECT * FROM {{all blocklist_log}} FINAL) AS l
LEFT ANY JOIN
(
    SELECT recipient, arrayJoin(event_ids) AS event_id, command_id, actor_kind, actor_id, reason AS command_reason
    FROM {{all blocklist_commands}} FINAL
) AS c ON l.recipient = c.recipient AND l.event_id = c.event_id;

CREATE OR REPLACE VIEW v_blocklist_commands{{on_cluster}}
{{view_rights}}
AS
SELECT
    answered_at,
    requested_at,
    command,
    scope,
    recipient,
    actor_kind,
    actor_id,
    reason,
    outcome,
    code,
    text,
    command_id,
    event_ids
FROM {{all blocklist_commands}} FINAL;

{{windowed_view v_blocklist_hits}}
