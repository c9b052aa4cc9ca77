"""Measures what DESIGN.md promises, on the real programs, and prints the numbers. Imported by nothing.

Run as ``python -m bench`` (``make bench``). Every figure is a median over repeated runs with its 95th percentile,
beside the machine that gave it; targets are shown, never asserted: a slow machine is not a failing test.
"""
