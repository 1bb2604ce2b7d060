"""``python -m pyswarmopt``: the command `pyswarmopt`, for when it is not on the path."""

from pyswarmopt.cli.start import pyswarmopt

pyswarmopt()
