"""Options shared by commands other than the search."""

from __future__ import annotations

from typing import Annotated

from pyswarmopt_llm.common.options import BASE, TASK, TEST, Option

Base = Annotated[str, BASE]
Experts = Annotated[tuple[str, ...], Option("LoRA adapters.", "DIR...", TASK)]
Test = Annotated[int | None, TEST]
TASK_FILE = Option("File, builtin:, hub: or published:NAME.", "T", TASK)
TaskFile = Annotated[str, TASK_FILE]
