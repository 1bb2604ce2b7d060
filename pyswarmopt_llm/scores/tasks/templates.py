"""Custom prompts: templates of the user turn, from a task file or for a search.

A template may come from an untrusted task file, so placeholders are replaced literally, in one
pass: `str.format` would give access to attributes, and a second pass would expand braces in a
question.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import normalise
from pyswarmopt_llm.scores.tasks.types import (
    AnswerFormat,
    Item,
    Task,
    lettered,
    per_task,
    with_options,
)

log = logging.getLogger(__name__)
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def prompted(tasks: Mapping[str, Task], templates: Sequence[str]) -> dict[str, Task]:
    """The tasks with new prompts: ``TEXT`` for all tasks, or ``TASK=TEXT``.

    Raises:
        UserError: a task's prompt or a template is wrong.

    Example:
        >>> task = Task("mood", (), ())
        >>> prompted({"mood": task}, ["{question}\\nMood:", "mood={question}\\n"])["mood"].prompt
        '{question}\\n'
    """
    own = per_task("template", templates, tasks)
    return {name: _with_prompt(task, own.get(name)) for name, task in tasks.items()}


def _with_prompt(task: Task, template: str | None) -> Task:
    """The task with its prompt."""
    prompt = template
    where = "`template`"
    if template is None:
        prompt = task.prompt
        where = task.source
    items = (*task.dev, *task.test)
    if prompt is not None:
        for item in items:
            fill(prompt, item, where)
    examples = normalise((prompt or "").replace("{{", "{").replace("}}", "}"))
    shown = 0
    for item in items:
        asked = normalise(item.question)
        told = f"{examples}\n{normalise(item.conversation)}"
        # more than a short word; counting is faster than the search for whole words
        if re.search(r"\w\W+\w|.{9}|[^ -~]{3}", asked) and told.count(asked) > 1:
            shown += len(re.findall(rf"(?<!\w){re.escape(asked)}(?![\w+#]|\.\d)", told)) > 1
    if shown:
        log.warning(
            "%s: %d of its questions are also among the examples in their prompts; the scores will "
            "be optimistic",
            task.source,
            shown,
        )
    return replace(task, prompt=prompt)


def fillers(item: Item) -> dict[str, str]:
    """The text of each placeholder: question, options, and other fields of the item, such as a passage.

    Example:
        >>> fillers(Item("1", "Is it raining?", None, "yes", {"passage": "All is wet."}))
        {'passage': 'All is wet.', 'choices': '', 'question': 'Is it raining?'}
    """
    more = {name: text for name, text in item.meta.items() if name != "answers"}
    return {**more, "choices": lettered(item), "question": item.question}


def placeholders(template: str) -> list[str]:
    """The names in braces.

    Example:
        >>> placeholders("{passage}\\n{question} {{literal}}")
        ['passage', 'question']
    """
    return [m[1] for m in _PLACEHOLDER.finditer(template) if m[1] is not None]


def fill(template: str, item: Item, where: str = "prompt template") -> str:
    """The template with an item's fields filled in; see `render_prompt`.

    Raises:
        UserError: unknown placeholders, or no ``{question}``; `where` says whose template it is.
    """
    values = fillers(item)
    names = placeholders(template)
    unknown = [f"{{{name}}}" for name in names if name not in values]
    if unknown or "question" not in names:
        wrong = [*unknown, "no {question}"][0]
        there = ", ".join(f"{{{name}}}" for name in [*values][:-1])
        raise UserError(
            f"{where}: the prompt has {wrong}; it needs {{question}} and may have {there}; literal "
            "braces are doubled: {{ }}"
        )
    # doubled braces have no name
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0][0]), template)


def render_prompt(item: Item, answer_format: AnswerFormat, template: str | None = None) -> str:
    """The user turn for an item.

    Args:
        item: question.
        answer_format: ``letter`` shows lettered options and ends with ``The answer is``; ``likelihood``
            shows only the question, since each option's text is scored as the reply; ``generate``
            is ``letter`` if there are choices, else ``likelihood``. A plain prompt is used
            verbatim.
        template: a user turn with ``{question}`` and optionally ``{choices}`` (one ``A: ...`` line
            each) or further columns of the item by name; it replaces the default of every scoring.
            Literal braces are doubled.

    Raises:
        UserError: an item without choices has ``letter`` or ``likelihood``, or the template is
            invalid.

    Example:
        >>> item = Item("1", "What is two plus two?", {"A": "four", "B": "five"}, "A")
        >>> print(render_prompt(item, "letter"))
        Answer the question with the letter of the right option.
        Question: What is two plus two?
        A: four
        B: five
        The answer is
        >>> render_prompt(item, "likelihood")
        'Question: What is two plus two?'
        >>> render_prompt(item, "generate", "{question} Think, then answer.")
        'What is two plus two? Think, then answer.'
    """
    if item.choices is None and answer_format != "generate":
        raise UserError(
            f"{item.location or item.id}: no choices, which {answer_format} scoring needs; set `scoring` "
            "to generate, or name a column of labels (`columns` label=COLUMN)"
        )
    if template is not None:
        return fill(template, item)
    if item.plain and item.choices is None:
        return item.question
    if answer_format == "likelihood" or item.choices is None:
        return f"Question: {item.question}"
    instruction = "Answer the question with the letter of the right option."
    return f"{instruction}\n{with_options(item)}\nThe answer is"


def chat_prompt(
    item: Item, answer_format: AnswerFormat, chat: Callable[..., str], template: str | None
) -> str:
    """The user turn of an item in a chat template, after its earlier turns."""
    return chat(render_prompt(item, answer_format, template), item.earlier)
