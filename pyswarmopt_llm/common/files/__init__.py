"""Files, perhaps from untrusted sources: bounded reading, JSON, atomic writing, append logs."""
