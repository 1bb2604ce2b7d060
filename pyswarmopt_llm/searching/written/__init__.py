"""Searches that score written replies: training on the best replies, and showing some."""
