"""Baselines for a search: merge rules, searches, trainings, ensembles; `compare` and `merge`."""
