"""Extract the answer from a written reply, and check it.

Used by `generate` scoring. Text marked as the answer (`stated`) comes first, then the whole reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pyswarmopt_llm.scores.tasks.items import EDGES, normalise
from pyswarmopt_llm.scores.tasks.quantities import Quantity, stated_quantity, written_quantity
from pyswarmopt_llm.scores.tasks.stated import candidates, only, plain, statement
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.scores.tasks.verdicts import VERDICTS, spoken_verdict
from pyswarmopt_llm.scores.words import same_words, typography

_AFTER = r"(?![\w'?-])"  # of a letter; A and I are also words
_AFTER_WORD = (
    r"(?=[\"'*)\]]*\s*(?:$|[^\w\s'?-]|\n|(?:because|since|as|is|are|or|and|seems|looks|must)\b))"
)
_LEADING = r"[\s\"'*(\[<`]*(?:(?i:option|choice|letter):?\s+)?[\"'*(\[]*"
_OTHER = r"(?![\"'*)\]]*\s*(?:,|/|&|or\b|and\b)\s*[\"'*(\[]*[A-Z](?![\w']))"  # "A or B"
_DENIED = (
    r"(?<!\w)(?:(?i:not|never|neither|cannot|doubt|hardly|\w+n't)\s+(?:(?!but\b|so\b)[a-z]+\s+){0,4}?"
    r"|(?i:no|nor|than|instead of|at least|at most)\s+(?:(?:the|a|an|option)\s+)?)[\"'*(]*"
)
_REFUTED = r"[\"'*)\].:]*\s*(?i:is|are|was)(?i:n't|\s+(?:not|wrong|incorrect|false)\b)"
_LATEX = re.compile(r"\\[A-Za-z]{2}|\\[({[%$,]|[_^]\{|\$.*\S\$")
# a last sentence: "x = 18", "The sum is 24."
_SAID = re.compile(
    r"(?:\A|[.!?]\s|\n)[^\d=.!?\n]*?(?:[=:]|['’]s\b|\b(?:is|are|was|were|be|equals?|gives?|gets?|makes?|has|have)\b:?)(?P<said>[^\n=]+)\Z"
)


def is_correct(item: Item, text: str) -> bool:
    """Whether generated text answers an item correctly.

    With choices, the text has to name the right option. Without, the same words are right, see
    `scores.words`. Else the comparison depends on the right answer: numbers by `quantities` (the last
    number, unless an answer is marked); yes and no by the verdict of the reply, anything else by
    the words of the stated answer. One of several right answers is enough.

    Example:
        >>> is_correct(Item("1", "Two plus two?", {"A": "four", "B": "five"}, "A"), "The answer is (A).")
        True
        >>> is_correct(Item("2", "Apples in all?", None, "1200"), "3 x 400 apples makes $1,200.00 worth.")
        True
        >>> is_correct(Item("3", "Capital of Peru?", None, "Lima"), "the answer is: lima.")
        True
    """
    if item.choices is not None:
        return extract_choice(text, item.choices) == item.answer
    return any(_answers(reference, text) for reference in item.references)


def _answers(reference: str, text: str) -> bool:
    """Whether a text gives a right answer to an open question."""
    gold = candidates(reference)[0]
    number = written_quantity(gold)
    if number is not None:
        return _same(number, stated_quantity(text))
    if same_words(reference, text):
        return True
    answer = normalise(gold)
    if answer in VERDICTS:
        return spoken_verdict(text) == answer
    parts = candidates(text)
    if _LATEX.search(gold) and any(same_words(plain(gold), plain(part)) for part in parts):
        return True
    return any(
        same_words(gold, shown) for part in parts for shown in (part, plain(part), statement(part))
    )


def extract_choice(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text names, by letter or by text; None if unclear.

    Text marked as the answer decides, then the whole: if it is an option or its letter, or begins
    with a letter, then that; else the only option that it names and does not deny.

    Example:
        >>> choices = {"A": "path", "B": "no path"}
        >>> extract_choice("(B)", choices), extract_choice("There is no path.", choices)
        ('B', 'B')
        >>> extract_choice("It is either A or B.", choices) is None
        True
    """
    choices = {letter: plain(option) for letter, option in choices.items()}
    verdicts = {normalise(option): letter for letter, option in choices.items()}
    if len(verdicts) == len(choices) and verdicts.keys() <= {*VERDICTS}:
        if verdict := spoken_verdict(text):
            return verdicts.get(verdict)
        choices = {letter: letter for letter in choices}
    *marked, whole = (typography(plain(part)) for part in candidates(text))
    lines = [
        rf"[\W_]*{letter}[\W_]+{re.escape(option)}[\W_]*" for letter, option in choices.items()
    ]
    unlisted = re.sub(rf"\A(?:(?:{'|'.join(lines)})(?:\n|\Z)){{2,}}", "", whole)
    for part in (*map(statement, marked), unlisted):
        letter = (
            _exact_option(part, choices)
            or _leading_letter(part, choices)
            or _named_option(part, choices)
        )
        if letter is not None:
            return letter
    return None


def same_number(reference: str, text: str) -> bool:
    """Whether a text gives the quantity of a reference as its answer.

    Example:
        >>> same_number("So 0 remain.", "0"), same_number("0.5", "50%"), same_number("none", "none")
        (True, True, False)
    """
    return _same(stated_quantity(reference), stated_quantity(text))


def _same(expected: Quantity | None, found: Quantity | None) -> bool:
    return bool(expected and found and found.same(expected))


@lru_cache(maxsize=4096)  # votes compare texts pairwise
def stated_answer(text: str) -> Quantity | str:
    """The answer that a text states: a number, or else its words.

    Example:
        >>> stated_answer("The sum is 24.").value, stated_answer("The answer is Lima.")
        (Fraction(24, 1), 'Lima.')
    """
    *marked, clause = candidates(text)
    stated = clause
    if marked:
        stated = statement(plain(marked[0]))
        clause = stated.partition(" (")[0]
    said = _SAID.search(clause)
    return written_quantity(clause) or (said and written_quantity(said["said"])) or stated


def _exact_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The option whose letter or text is the whole text; case only distinguishes options."""
    stated = re.sub(r"(?i)\A\W*(?:option|choice|letter)\b", "", statement(text))
    bare = stated.strip(EDGES)
    if bare in choices:
        return bare
    number = written_quantity(stated)
    alike = [
        letter
        for letter, option in choices.items()
        if same_words(option, stated) or _same(number, written_quantity(option))
    ]
    if alike:
        return only([each for each in alike if choices[each].strip() == bare] or alike)
    if bare.upper() in choices:
        return bare.upper()
    return None


def _leading_letter(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter that a text begins with, unless another follows, or the text refutes it."""
    for letter, option in choices.items():
        told = rf"(?![\W_]*(?:{re.escape(option)})?{_REFUTED})"
        if re.match(f"{_LEADING}{_letter(letter)}{_OTHER}{told}", text):
            return letter
    return None


def _named_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The only option whose letter or text occurs and is not denied; a longer option hides those
    inside it ("no path", "path").
    """
    rest = " ".join(text.split())
    named = set()
    for letter in sorted(choices, key=lambda letter: -len(choices[letter])):
        option = normalise(choices[letter])
        words = None
        if option not in ("", "a", "i"):
            words = rf"(?<!\w)(?i:{re.escape(option)})(?!\w)"
        for pattern in filter(None, (words, rf"(?<!\w-)(?<![\w']){_letter(letter)}")):
            rest = re.sub(f"{_DENIED}{pattern}|{pattern}{_REFUTED}", "\0", rest)
            if re.search(pattern, rest):
                named.add(option)
                rest = re.sub(pattern, "\0", rest)
    letters = [letter for letter, option in choices.items() if normalise(option) in named]
    return only(letters)


def _letter(letter: str) -> str:
    """The pattern of a letter that is no word."""
    if letter in "AI":
        return letter + _AFTER_WORD
    return letter + _AFTER
