"""The kit: the Raspberry Pi box in the classroom. Imports ``wire`` and ``config``; never ``relay``."""
