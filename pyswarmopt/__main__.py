"""``python -m pyswarmopt``: the command `pyswarmopt`, where it is not on the path."""

from pyswarmopt.cli.start import pyswarmopt

pyswarmopt()
