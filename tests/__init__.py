"""The tests; they mirror the packages. What spans packages is in ``conformance``, ``interop`` and ``browser``."""
