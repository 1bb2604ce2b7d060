"""The default search of pyswarmopt as a sampler; see README.md."""

from pyswarmopt.interop.optuna import SwarmSampler

__all__ = ["SwarmSampler"]
