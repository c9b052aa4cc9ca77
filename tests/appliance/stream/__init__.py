"""The kit's way to the relay, over real HTTP servers and real loopback UDP."""
