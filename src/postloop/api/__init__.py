"""The HTTP interface: look a message, an address or a domain up, lift a block, hand events in."""
