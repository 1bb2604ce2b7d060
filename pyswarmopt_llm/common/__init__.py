"""Shared by all packages: interfaces, configuration, errors, events, optimizers, statistics,
files.
"""
