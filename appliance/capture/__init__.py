"""Camera and microphone → encoded access units and Opus frames, on one lesson clock."""
