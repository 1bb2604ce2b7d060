"""Searches for a score of written replies: which are shown, and whether the score is still the
same.
"""
