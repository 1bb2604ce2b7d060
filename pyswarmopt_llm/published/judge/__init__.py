"""Scores that a language model gives, local or behind an API."""
