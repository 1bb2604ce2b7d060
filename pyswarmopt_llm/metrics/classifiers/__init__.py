"""Scores that a classifier gives: reward models, toxicity."""
