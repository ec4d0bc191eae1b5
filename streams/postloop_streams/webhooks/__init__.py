"""The webhooks role: tells endpoints what concerns them."""
