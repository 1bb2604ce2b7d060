"""``python -m pyswarmopt_llm``: the command `swarm-llm`, where it is not on the path."""

from pyswarmopt.cli.start import swarm_llm

swarm_llm()
