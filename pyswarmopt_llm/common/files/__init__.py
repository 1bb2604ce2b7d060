"""Files and answers, perhaps from untrusted sources: bounded reading, JSON, atomic writing, logs."""
