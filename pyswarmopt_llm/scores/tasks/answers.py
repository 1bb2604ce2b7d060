"""Extract the answer from a written reply, and check it.

Used by `generate` scoring. Text marked as the answer (`stated`) comes first, then the whole reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pyswarmopt_llm.scores.tasks.items import EDGES, normalise
from pyswarmopt_llm.scores.tasks.quantities import (
    Quantity,
    quantities,
    stated_quantity,
    written_quantity,
)
from pyswarmopt_llm.scores.tasks.stated import candidates, only, plain, statement
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.scores.tasks.verdicts import VERDICTS, spoken_verdict
from pyswarmopt_llm.scores.words import comparable, same_words, typography

# Chinese and Japanese letters may stand beside a Latin one
_BEFORE = r"(?<!\w-)(?<![^\W\u3040-\u9fff]|')"
_AFTER = r"(?![^\W\u3040-\u9fff]|['?-])"  # A and I are also words
_AFTER_WORD = (
    r"(?=[\"'*)\]]*\s*(?:$|[^\w\s'?-]|\n|(?:because|since|as|is|are|or|and|seems|looks|must)\b))"
)
_LEADING = r"[\s\"'*(\[<`]*(?:(?i:option|choice|letter):?\s+)?[\"'*(\[]*"
# what follows a letter that a text gives as its answer, rather than talks about
_GIVEN = (
    r"(?=[\"'*)\]}>]*\s*(?:$|\n|[.,:;!(\[–—=]|(?:because|since|as)\b"
    r"|(?:is|must\s+be|would\s+be)\s+(?:the\s+)?(?:correct|right|best|answer)\b"
)
_OTHER = (  # "A or maybe B"
    r"(?![\"'*)\]]*\s*(?:,|/|&|or\b|and\b)\s*(?:(?i:maybe|perhaps|possibly)\s+)?[\"'*(\[]*[A-Z](?![\w']))"
)
# a discussed option, at the start of a line or sentence
_LISTED = (
    r"(?m)(?:^|(?<=[.!?;]\s))(?:[^\w\n]|_)*(?:(?i:option|choice)\s+)?([A-Z])[*_ ]*[.:)\]-]+[*_]*\s"
)
_DENIAL = re.compile(
    r"(?i)n't\b|\b(?:not|no|non|nor|never|neither|cannot|doubt|hardly|wrong|incorrect|false|eliminate"
    r"|less|than|instead of|out of|at least|at most)\b"
)
_REFUTED = r"[\"'*)\].:]*\s*(?i:is|are|was)(?i:n't|\s+(?:not|wrong|incorrect|false)\b)"
_OTHER_WORDS = [{word, other} for word in ("yes", "no") for other in ("true", "false")]
# a last sentence: "x = 18", "The sum is 24."
_SAID = re.compile(
    r"(?:\A|[.!?]\s|\n)[^\d=.!?\n]*?(?:[=:]|['’]s\b|\b(?:is|are|was|were|be|equals?|gives?|gets?|makes?|has|have)\b:?)(?P<said>[^\n=]+)\Z"
)


def check(item: Item, text: str) -> bool | None:
    """Whether generated text answers an item correctly; None if its answer is unclear.

    With choices, the text has to name the right option. Without, the same words are right, see
    `scores.words`. Else the comparison depends on the right answer: numbers by `quantities` (the last
    number, unless an answer is marked); yes and no by the verdict of the reply, anything else by
    the words of the stated answer. One of several right answers is enough. An answer is unclear if
    the part of the text that states it has the right one among others.

    Example:
        >>> item = Item("1", "Capital of Peru?", None, "Lima")
        >>> check(item, "Lima."), check(item, "Cuzco"), check(item, "It is Lima or Cuzco.")
        (True, False, None)
        >>> check(Item("2", "Why?", None, ""), "So.")  # no right answer is known
        False
    """
    if item.choices is None:
        return check_open(item.references, text)
    letter = extract_choice(text, item.choices)
    if letter is None:
        return None
    return letter == item.answer


def check_open(references: Sequence[str], text: str) -> bool | None:
    """`check` of an open question with these right answers.

    Example:
        >>> check_open(["1200"], "3 x 400 apples makes $1,200.00 worth."), check_open(["Lima"], "So.")
        (True, False)
    """
    checks = [_check(reference, text) for reference in references]
    return max(checks, default=False, key=(False, None, True).index)


def _check(reference: str, text: str) -> bool | None:
    """`check` of an open question with one right answer."""
    gold = candidates(reference)[0]
    number = right_number(reference)
    parts = list(map(plain, candidates(text)))
    answer, said = map(" ".join, comparable(gold, parts[0]))
    named = f" {answer} " in f" {said} "
    if number is not None:
        found = stated_quantity(text)
        right = found and number.same(found)
        last = parts[0].strip().rpartition("\n")[2]
        named = not written_quantity(last) and any(map(number.same, quantities(last)))
    elif answer in VERDICTS:
        verdict = spoken_verdict(text)
        if verdict is None or {verdict, answer} in _OTHER_WORDS:
            return None
        return verdict == answer
    else:
        forms = {text, *parts, *map(statement, parts)}
        right = any(same_words(each, form) for each in {reference, plain(gold)} for form in forms)
    if named and not right:
        return None
    return right


def extract_choice(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text names, by letter or by text; None if unclear.

    Text marked as the answer decides, then the option or letter that the text is or begins with;
    else the only option that it names, if it denies none.

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
    if re.findall(_LISTED, whole)[:2] == [*choices][:2]:
        whole = re.sub(f"{_LISTED}.*", "", whole)
    for part in (*map(statement, marked), whole):
        if letter := _first_option(part, choices) or _named_option(part, choices):
            return letter
    return None


def right_number(reference: str) -> Quantity | None:
    """The number that a right answer consists of; None if it has other words.

    Example:
        >>> str(right_number("#### 12 apples").value), right_number("twelve")
        ('12', None)
    """
    return written_quantity(candidates(reference)[0])


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


def _first_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The option whose letter or text is the whole text, or whose letter begins it unrefuted and
    alone.
    """
    stated = re.sub(r"(?i)\A\W*(?:option|choice|letter)\b", "", statement(text))
    bare = stated.strip(EDGES)
    if bare in choices:
        return bare
    if alike := [letter for letter in choices if same_words(choices[letter], stated)]:
        return only(alike)
    if bare.upper() in choices:
        return bare.upper()
    for letter, option in choices.items():
        name = re.escape(option)
        given = rf"{_GIVEN}|{name}))(?![\W_]*(?:{name})?{_REFUTED})"
        if re.match(f"{_LEADING}{letter}{_OTHER}{given}", text):
            return letter
    return None


def _named_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The only option whose letter or text occurs in a text that denies nothing; a longer option hides
    those inside it ("no path", "path").
    """
    rest = " ".join(text.split())
    named = set()
    for letter in sorted(choices, key=lambda letter: -len(choices[letter])):
        option = normalise(choices[letter])
        after = _AFTER_WORD if letter in "AI" else _AFTER
        names = f"{_BEFORE}{letter}{after}"
        if option not in ("", "a", "i"):
            names += rf"|(?<!\w)(?i:{re.escape(option)})(?!\w)"
        rest, count = re.subn(names, "\0", rest)
        if count:
            named.add(option)
    if _DENIAL.search(rest):
        return None
    letters = [letter for letter, option in choices.items() if normalise(option) in named]
    return only(letters)
