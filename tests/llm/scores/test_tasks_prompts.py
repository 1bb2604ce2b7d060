"""Prompts: the defaults word by word, and templates that cannot do more than stand for two
texts.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, Task, render_prompt
from pyswarmopt_llm.scores.tasks.templates import prompted

ITEM = Item("7", "Capital of Peru?", {"A": "Lima", "B": "Quito"}, "A")
OPEN = Item("8", "Capital of Peru?", None, "Lima")


def test_defaults() -> None:
    letter = render_prompt(ITEM, "letter")
    assert letter.startswith("Answer the question with the letter of the right option.\nQuestion: ")
    assert letter.endswith("Capital of Peru?\nA: Lima\nB: Quito\nThe answer is")
    assert render_prompt(ITEM, "generate") == letter
    assert render_prompt(ITEM, "likelihood") == "Question: Capital of Peru?"
    assert render_prompt(OPEN, "generate") == "Question: Capital of Peru?"


@pytest.mark.parametrize("scoring", ["letter", "likelihood", "generate"])
def test_a_template_replaces_the_default(scoring: str) -> None:
    template = "Q {question}\n{choices}\nGive {{only}} JSON."
    wanted = "Q Capital of Peru?\nA: Lima\nB: Quito\nGive {only} JSON."
    assert render_prompt(ITEM, scoring, template) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["", *"0 answer question!r question[0] question:>9".split()])
def test_a_template_reaches_nothing_else(field: str) -> None:
    for inside in (field, f"{field}.__class__"):
        with pytest.raises(UserError, match="the prompt has"):
            render_prompt(ITEM, "letter", f"{{question}}{{{inside}}}")


@given(st.text(), st.text())
def test_braces_in_a_question_are_left_alone(question: str, option: str) -> None:
    item = Item("1", question, {"A": option, "B": "{question}"}, "A")
    rendered = render_prompt(item, "letter", "<{question}|{choices}>")
    assert rendered == "<" + question + "|A: " + option + "\nB: {question}>"


@pytest.mark.parametrize("of", ["Peru", "Chile"])
def test_a_question_among_the_examples_before_it_is_told(
    of: str, caplog: pytest.LogCaptureFixture
) -> None:
    example = f"CAPITAL  of\u200b {of}"
    turns = f'[{{"role": "user", "content": "{example}"}}]'
    for prompt, item in (
        (f"{example} Lima.\n{{question}}", OPEN),
        (f"{example} {{{{x}}}}\n{{question}}", Item("7", "Capital of Peru {x}?", None, "Lima")),
        (None, Item("9", "Capital of Peru?", None, "Lima", {"earlier": turns})),
    ):
        caplog.clear()
        prompted({"towns": Task("towns", (item,), (ITEM,), prompt)}, ())
        assert ("are also among the examples" in caplog.text) == (of == "Peru")
