"""Prompts: the defaults word by word, and templates that cannot do more than stand for two
texts.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.scores.tasks.prompts import check_template

ITEM = Item("7", "Capital of Peru?", {"A": "Lima", "B": "Quito"}, "A")
OPEN = Item("8", "Capital of Peru?", None, "Lima")

LETTER = """\
Answer the question with the letter of the right option.
Question: Capital of Peru?
A: Lima
B: Quito
The answer is"""


def test_defaults() -> None:
    assert render_prompt(ITEM, "letter") == LETTER
    assert render_prompt(ITEM, "generate") == LETTER
    assert render_prompt(ITEM, "likelihood") == "Question: Capital of Peru?"
    assert render_prompt(OPEN, "generate") == "Question: Capital of Peru?"


@pytest.mark.parametrize("scoring", ["letter", "likelihood", "generate"])
def test_a_template_replaces_the_default(scoring: str) -> None:
    template = "Q {question}\n{choices}\nGive {{only}} JSON."
    wanted = "Q Capital of Peru?\nA: Lima\nB: Quito\nGive {only} JSON."
    assert render_prompt(ITEM, scoring, template) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "template",
    [
        "{question.__class__}",
        "{question!r}",
        "{question[0]}",
        "{0}",
        "{}",
        "{answer}",
        "{question:>99}",
    ],
)
def test_a_template_reaches_nothing_else(template: str) -> None:
    with pytest.raises(UserError, match="unknown placeholder"):
        render_prompt(ITEM, "letter", "{question}" + template)


def test_a_template_without_the_question_is_refused() -> None:
    with pytest.raises(UserError, match=r"mine.json: the prompt has no \{question\}"):
        check_template("{{question}} {choices}", "mine.json")


@given(st.text(), st.text())
def test_braces_in_a_question_are_left_alone(question: str, option: str) -> None:
    item = Item("1", question, {"A": option, "B": "{question}"}, "A")
    rendered = render_prompt(item, "letter", "<{question}|{choices}>")
    assert rendered == "<" + question + "|A: " + option + "\nB: {question}>"
