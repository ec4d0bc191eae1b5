"""The blocklist role: what happened to addresses becomes blocks and releases, each an event with its evidence."""
