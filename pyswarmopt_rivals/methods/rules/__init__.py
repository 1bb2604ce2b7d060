"""Fixed merge rules: one file per method."""
