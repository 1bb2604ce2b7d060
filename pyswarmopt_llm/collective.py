"""`from pyswarmopt_llm.collective import voting`: the voting rules, under their public name."""

from pyswarmopt_llm.groups.voting.rules import voting

__all__ = ["voting"]
