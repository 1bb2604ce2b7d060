"""Metrics by classifiers: reward models, toxicity."""
