"""What carries live media inside the relay: ``embedded`` (in its own process), or several of it (``workers``)."""
