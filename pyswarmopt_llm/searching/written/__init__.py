"""Searches that score written replies: showing replies, and checking that scores differ."""
