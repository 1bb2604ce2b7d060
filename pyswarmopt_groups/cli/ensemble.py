"""`swarm-llm ensemble`: several models vote."""

from __future__ import annotations

from pyswarmopt_groups.cli.options import group_command
from pyswarmopt_groups.registry import VOTES

SUMMARY = """Let models vote on a question, or on a task's test examples after fitting on its dev examples.

Example: swarm-llm ensemble --members adapters/* --base B --strategy weighted,nearest:8 --task questions.json
"""

command = group_command(SUMMARY, VOTES, "majority")
