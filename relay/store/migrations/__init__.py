"""Alembic's migrations, run by ``relay/store/database.py`` at start."""

#: The newest one. Known here so that a start that has nothing to do needs no Alembic; a test holds it.
HEAD = "0003"
