"""A run on disk: its directory and journal, its rows, its result."""
