"""Raw reports of mail servers -> drafts of events: delivery status (RFC 3464), abuse (RFC 5965), plain bounces.

Pure: bytes in, a report or a reason why not out. It stands in the domain because it is knowledge of mail and needs
the standard library only; `postloop.contracts.report_events` makes events of the wire from the drafts.
"""
