"""Processes that score candidates beside a search."""
