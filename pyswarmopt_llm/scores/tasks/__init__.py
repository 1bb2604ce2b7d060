"""Tasks: file formats, prompts, scoring of answers, generated tasks, published data sets."""

from __future__ import annotations

from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.scores.tasks.templates import chat_prompt, render_prompt
from pyswarmopt_llm.scores.tasks.types import AnswerFormat, Item, Task

__all__ = [
    "AnswerFormat",
    "Item",
    "Task",
    "chat_prompt",
    "load_task",
    "render_prompt",
]
