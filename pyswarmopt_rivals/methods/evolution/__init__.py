"""Merging methods that evolve a population of mixtures: one file per method."""
