"""Merging methods that search or need data: one file per method."""
