"""A Gaussian process of the costs of few points."""
