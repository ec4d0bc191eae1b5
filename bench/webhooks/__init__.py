"""The webhooks role: how fast it delivers, and what one endpoint that hangs does to the others."""
