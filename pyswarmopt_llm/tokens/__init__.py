"""Token swarms: mixtures of models of any architecture, by their next-token probabilities."""
