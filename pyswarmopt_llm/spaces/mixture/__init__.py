"""Token swarms: models of any architecture mixed by the probabilities that they give to what comes next."""

from pyswarmopt_llm.spaces.mixture.engine import MixtureEngine, open_mixture

__all__ = ["MixtureEngine", "open_mixture"]
