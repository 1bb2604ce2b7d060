"""Extract the answer from generated text and check it.

Used by `generate` scoring. The most explicit answer wins: the last LaTeX ``\\boxed{...}``, then the
text after the last "the answer is" or ``####`` (the marker of GSM8K, Cobbe et al. 2021), then the
text as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache

from pyswarmopt_llm.scores.tasks.items import EDGES, normalise
from pyswarmopt_llm.scores.tasks.types import Item

_MARK = re.compile(r"\banswer(?:\s+is\b\s*:?|\s*:)|####", re.IGNORECASE)

# 18, -3, 1,234.50, .5, $7; not the 2 of H2O. The minus of "3-5" is a dash, since it follows a
# digit.
_NUMBER = re.compile(
    r"(?<![^\W_])(?P<sign>[-\u2212]?)[$€£]?(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])"
    r"|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
)
_UNIT = re.compile(r"\s*(?:%|°?[^\W\d_]*\.?)")

# The letter of an option: "B", "(B)", "B.", "option B", "B because ...". A and I are also words.
_LEADING_LETTER = re.compile(
    r"[\s\"'*(\[]*(?:(?:option|choice|letter)\s+)?[\"'*(\[]*(?P<letter>[A-Z])(?P<rest>.*)",
    re.DOTALL,
)
_AFTER_LETTER = re.compile(r"(?![\w'\u2019]|-\w)")
_AFTER_WORDLIKE_LETTER = re.compile(r"\s*(?:$|[^\w\s'\u2019-]|\n|(?:because|since|as|is)\b)")
_NAMED_LETTER = re.compile(r"\(([A-Z])\)|\b(?:option|choice)\s+([A-Z])\b(?!['\u2019])")

_VERDICTS = ("yes", "no", "true", "false", "maybe")


def without_thoughts(text: str) -> str:
    """Strip the thoughts from a reply; all of it where it has none.

    Example:
        >>> without_thoughts("<think>Two and two...</think> Four.")
        ' Four.'
    """
    return text.rpartition("</think>")[2]


def is_correct(item: Item, text: str) -> bool:
    """Whether generated text answers an item correctly.

    With choices, the text has to name the right option. Without, the comparison depends on the
    right answer: a number by value (the last number, unless the text marks its answer), yes and no
    by the first such word, anything else by exact match after normalisation.

    Example:
        >>> is_correct(Item("1", "Two plus two?", {"A": "four", "B": "five"}, "A"), "The answer is (A).")
        True
        >>> is_correct(Item("2", "Apples in all?", None, "1200"), "3 x 400 apples makes $1,200.00 worth.")
        True
        >>> is_correct(Item("3", "Capital of Peru?", None, "Lima"), "the answer is: lima.")
        True
    """
    text = without_thoughts(text)
    if item.choices is not None:
        return extract_choice(text, item.choices) == item.answer
    gold = _after_mark(item.answer) or item.answer
    number = _whole_number(gold)
    if number is not None:
        return extract_number(text) == number
    answer = normalise(gold)
    if any(normalise(candidate) == answer for candidate in _candidates(text)):
        return True
    return answer in _VERDICTS and _verdict(text) == answer


def extract_choice(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text names, by letter or by text; None if unclear.

    Example:
        >>> choices = {"A": "path", "B": "no path"}
        >>> extract_choice("(B)", choices), extract_choice("There is no path.", choices)
        ('B', 'B')
        >>> extract_choice("It is either A or B.", choices) is None
        True
    """
    for candidate in _candidates(text):
        for find in (_exact_option, _leading_letter, _named_letter, _mentioned_option):
            letter = find(candidate, choices)
            if letter is not None:
                return letter
    return None


def extract_number(text: str) -> Decimal | None:
    """The final number of a text: boxed, the first after the answer marker, or the last.

    Thousands separators, currency signs, units and LaTeX's ``{,}`` are ignored.

    Example:
        >>> extract_number("So 5 boxes of 250 g weigh 1,250 g.")
        Decimal('1250')
        >>> extract_number("The answer is $18 for 3 days.")
        Decimal('18')
        >>> extract_number(r"Therefore \\boxed{-4.50}, as 9 was given.")
        Decimal('-4.50')
        >>> extract_number("no idea") is None
        True
    """
    *marked, whole = _candidates(text)
    for candidate in marked:
        for number in _numbers(candidate):
            return number
    figures = list(_numbers(whole))
    return figures[-1] if figures else None


@lru_cache(maxsize=4096)  # votes compare all pairs of texts
def stated_answer(text: str) -> Decimal | str:
    """The answer of a text in a form for comparison: a number or normalised words.

    Example:
        >>> stated_answer("The answer is $1,200."), stated_answer(" Lima. ")
        (Decimal('1200'), 'lima')
    """
    explicit = _candidates(text)[0]
    number = _whole_number(explicit)
    return number if number is not None else normalise(explicit) or text.strip()


def _candidates(text: str) -> list[str]:
    """Parts of a text that may be the answer, most explicit first; the last is the whole text."""
    explicit = (_boxed(text), _after_mark(text))
    return [candidate for candidate in explicit if candidate] + [text]


def _boxed(text: str) -> str | None:
    """Content of the last closed ``\\boxed{...}``, nested braces included."""
    contents = (_up_to_closing_brace(part) for part in reversed(text.split(r"\boxed{")[1:]))
    return next((content for content in contents if content is not None), None)


def _up_to_closing_brace(text: str) -> str | None:
    """The text before the brace that closes one opened earlier; None if there is none."""
    depth = 1
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if depth == 0:
            return text[:i]
    return None


def _after_mark(text: str) -> str | None:
    """The text after the last answer marker, up to the end of its line."""
    ends = [match.end() for match in _MARK.finditer(text)]
    if not ends:
        return None
    lines = text[ends[-1] :].strip().splitlines()
    return lines[0] if lines else None


def _numbers(text: str) -> Iterator[Decimal]:
    for match in _NUMBER.finditer(text.replace("{,}", ",").replace("\\", "")):
        yield _value(match)


def _whole_number(text: str) -> Decimal | None:
    """The value of a text that is a single number, optionally followed by a unit."""
    text = text.strip()
    match = _NUMBER.match(text)
    if match is None or _UNIT.fullmatch(text, match.end()) is None:
        return None
    return _value(match)


def _value(match: re.Match[str]) -> Decimal:
    value = Decimal(match["digits"].replace(",", ""))
    return -value if match["sign"] else value


def _verdict(text: str) -> str | None:
    words = re.findall(r"[a-z]+", text.lower())
    return next((word for word in words if word in _VERDICTS), None)


def _exact_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The option if the whole text is its letter or text; case only tells options apart."""
    bare = text.strip(EDGES)
    if bare in choices:
        return bare
    for same in (str.strip, normalise):
        letters = [letter for letter, option in choices.items() if same(option) == same(bare)]
        if letters:
            return letters[0] if len(letters) == 1 else None
    return bare.upper() if bare.upper() in choices else None


def _leading_letter(text: str, choices: Mapping[str, str]) -> str | None:
    match = _LEADING_LETTER.match(text)
    if match is None or match["letter"] not in choices:
        return None
    follows = _AFTER_WORDLIKE_LETTER if match["letter"] in "AI" else _AFTER_LETTER
    if follows.match(match["rest"]) is None or _named_letter(match["rest"], choices):
        return None
    return match["letter"]


def _named_letter(text: str, choices: Mapping[str, str]) -> str | None:
    """The only letter in brackets or after "option"."""
    letters = {a or b for a, b in _NAMED_LETTER.findall(text)} & choices.keys()
    return letters.pop() if len(letters) == 1 else None


def _mentioned_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The only option whose text occurs as whole words; a longer option hides those inside it ("no
    path", "path").
    """
    for same in (str.strip, normalise):
        options = {letter: same(option) for letter, option in choices.items()}
        rest, mentioned = same(text), []
        for option in sorted(dict.fromkeys(options.values()), key=len, reverse=True):
            pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
            if option.casefold() not in ("", "a", "i") and re.search(pattern, rest):
                mentioned.append(option)
                rest = re.sub(pattern, "\0", rest)
        letters = [letter for letter, option in options.items() if option in mentioned]
        if letters:
            return letters[0] if len(letters) == 1 else None
    return None
