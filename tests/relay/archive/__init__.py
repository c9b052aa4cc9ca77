"""Tests of relay/archive/."""
