"""Scores from elsewhere: Python functions, `evaluate`, lm-evaluation-harness."""
