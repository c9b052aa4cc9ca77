"""The domain: schools, rooms, classes, kits, lessons and links. Pure: no web, no database, no clock of its own."""
