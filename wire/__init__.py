"""What kit and relay say to each other.

A leaf: imports neither ``appliance`` nor ``relay``. The two ends are upgraded separately, so everything here is
versioned, and a reader ignores what it does not know. ``docs/protocol.md`` is the document of record.
"""
