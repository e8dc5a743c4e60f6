"""What arrived: the SQLite index of sessions and objects."""
