"""The default search where some coordinates are integers or categories."""
