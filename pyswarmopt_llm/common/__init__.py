"""Shared by all: interfaces, configuration, errors, events, optimizers, statistics, files."""
