"""What carries live media inside the relay: ``embedded`` (in-process, default), later ``livekit`` (a cluster)."""
