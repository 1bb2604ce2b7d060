"""Shared by all rooms: interfaces, configuration, errors, events, optimizers, statistics, files."""
