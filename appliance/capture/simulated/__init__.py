"""A classroom worth looking at, with a voice: what a newcomer runs, benches measure and tests drive."""
