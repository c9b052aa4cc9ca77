"""Alembic's migrations, run by ``relay/store/database.py`` at start."""
