"""What ``make`` runs, run."""
