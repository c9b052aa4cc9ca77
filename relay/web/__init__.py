"""The relay's HTTP side: routes, pages and the control channel. ``docs/protocol.md`` is the contract."""
