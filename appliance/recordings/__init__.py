"""Recorded lessons on the kit's own disk, until the relay has them. Written by the recorder, read by the uploader."""
