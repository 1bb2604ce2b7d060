"""Rank many adapters by a few items of a task."""
