"""Where the relay keeps what must outlive it: SQLAlchemy models, migrations, and the folder of board stills."""
