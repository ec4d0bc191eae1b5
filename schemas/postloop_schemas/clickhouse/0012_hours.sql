-- Counts hour by hour, for lines over time: the windowed views know one instant each.
CREATE OR REPLACE VIEW v_domain_hours{{on_cluster}}
{{view_rights}}
AS
SELECT
    r.bucket AS hour,
    account_id,
    sender_domain,
    mailbox_provider,
    mail_class,
    {{count send_count}},
    {{count rejected_count}},
    {{count suppressed_count}},
    {{count delivered_count}},
    {{count reporting_delivered_count}},
    {{count hard_bounce_count}},
    {{count soft_bounce_count}},
    {{count refusal_count}},
    {{count deferral_count}},
    {{count complaint_count}},
    {{count unsubscribe_count}},
    {{count open_count}},
    {{count delayed_count}}
FROM {{all rollup_hour}} AS r
WHERE cube = 'domain'
GROUP BY hour, account_id, sender_domain, mailbox_provider, mail_class
HAVING sum(r.event_count) > 0;
