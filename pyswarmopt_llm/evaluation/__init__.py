"""Evaluating candidates: journal, cache, screening, workers, the run directory."""
