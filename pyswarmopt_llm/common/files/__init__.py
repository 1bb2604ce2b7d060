"""Files, possibly from untrusted sources: paths, bounded reading, JSON, atomic writing, append
logs.
"""
