"""What the fuzzer was given and what it found worth keeping still breaks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
MOST_KEPT_BYTES = 512 * 1024  # of a repository that people clone


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_corpus_breaks_nothing(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for path in kept:
        TARGETS[name](path.read_bytes())


def test_the_corpus_is_small_and_has_a_target_for_each_folder() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MOST_KEPT_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_and_noise_break_nothing(name: str) -> None:
    for data in (b"", b"\0", b"\xff" * 300, bytes(range(256)) * 4):
        TARGETS[name](data)
