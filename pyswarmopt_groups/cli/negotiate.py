"""`swarm-llm negotiate`: several models argue, agree, play or divide the work."""

from __future__ import annotations

from pyswarmopt_groups.cli.options import group_command
from pyswarmopt_groups.registry import NEGOTIATIONS

SUMMARY = """Let models debate, form a quorum, play games or share the work on a task or a question.

Example: swarm-llm negotiate --members adapters/* --base B --strategy refine:rounds=2 --task questions.json
"""

command = group_command(SUMMARY, NEGOTIATIONS, "refine", ["society:cce:ddr"])
