"""Several engine processes behind one ``Engine``: each with a UDP port of its own, a class's channel in one of them.

``pool.py`` is what the relay uses; ``worker.py`` keeps one process running and knows what it holds; ``process.py`` is
what runs in it (``python -m relay.engines.workers``); ``messages.py`` is what the two say to each other.
"""

from __future__ import annotations

from relay.engines.workers.pool import WorkerPool
from relay.engines.workers.worker import CannotStart

__all__ = ["CannotStart", "WorkerPool"]
