"""The relay: takes a kit's lesson and gives it to pupils. Imports ``wire`` and ``config``; never ``appliance``."""
