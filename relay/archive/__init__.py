"""The record path on the relay: segments in, HLS and one-file downloads out, and their end after some days."""
