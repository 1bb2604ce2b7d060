"""The search: preparation, loop, selection, export."""
