"""Tests for your own recipe, optimiser, space or objective to inherit.

pytest collects a class that inherits one of these; each method is one promise of this package.

Example:
    >>> class TestMine(RecipeTests):
    ...     recipe = "constriction"
    >>> TestMine().test_fun_is_the_value_at_x()
"""

from __future__ import annotations

from pyswarmopt.testing.objectives import ObjectiveTests
from pyswarmopt.testing.optimizers import OptimizerTests
from pyswarmopt.testing.recipes import RecipeTests
from pyswarmopt.testing.spaces import SpaceTests
from pyswarmopt.testing.watched import Watched, valley

__all__ = ["ObjectiveTests", "OptimizerTests", "RecipeTests", "SpaceTests", "Watched", "valley"]
