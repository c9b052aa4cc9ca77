"""Coverage-guided fuzzing of what the relay reads from strangers, and the corpus that was worth keeping (README.md)."""
