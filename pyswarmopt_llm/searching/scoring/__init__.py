"""Evaluating candidates: journal, cache, surrogates, workers, the run directory."""
