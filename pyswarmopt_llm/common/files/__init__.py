"""Files, which may come from a stranger: paths, bounded reading, JSON, atomic writing, append logs, locks."""
