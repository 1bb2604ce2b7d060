"""Extract the answer of a written reply, and check it.

Used by `generate` scoring. Text marked as the answer (`stated`) comes first, then the whole reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import EDGES, normalise
from pyswarmopt_llm.scores.tasks.quantities import Quantity, stated_quantity, written_quantity
from pyswarmopt_llm.scores.tasks.stated import candidates, explicit_parts, first_sentence, plain
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.scores.tasks.verdicts import VERDICTS, spoken_verdict
from pyswarmopt_llm.scores.words import same_words

# The letter of an option: "B", "(B)", "B.", "option B", "B because ...". A and I are also words.
_LEADING_LETTER = re.compile(
    r"[\s\"'\u201c*(\[<`]*(?:(?i:option|choice|letter):?\s+)?[\"'*(\[]{0,9}(?P<letter>[A-Z])(?P<rest>.*)",
    re.DOTALL,
)
_AFTER_LETTER = re.compile(r"(?![\w'\u2019]|-\w)")
_AFTER_WORDLIKE_LETTER = re.compile(r"\s*(?:$|[^\w\s'\u2019-]|\n|(?:because|since|as|is)\b)")
# "(B)", "Option B", "it must be B.", "B seems right"
_NAMED_LETTER = re.compile(
    r"\(([A-Z])\)|\b(?i:option|choice):?\s+([A-Z])\b(?!['\u2019])"
    r"|(?::|\b(?i:ans|is|be|it['\u2019]s|choose|pick|select|with|thus|hence|therefore|so|but)\b[,.:]?)\s+"
    r"[\"'*`]*([A-Z])[\"'*`]*(?=\s*(?:[.,;:!?\n]|$|(?:because|since|as)\b))"
    r"|(?<![\w'\u2019])([A-Z])[\"'*)`]*(?=\s+(?:is|seems|looks|must\s+be)\s+(?:(?:the|most)\s+)*"
    r"(?:right|correct|best|likely|true|answer)\b)"
)
# the end of a number or a verdict: "18, since ...", "18 (nine pairs)", "yes. He did"
_EXPLAINED = re.compile(r",?\s+(?:because|since|as|not|but)\b|\s\(|(?<=\w[.!?])\s|[.!?]$")
_VARIABLE = re.compile(r"\A[\W_]*[A-Za-z]\s*=(?=[^=]*\Z)")  # "x = 18"
# "The sum is **24**." and "It's 24 apples", not "Apollo 11"
_SAID = re.compile(
    r"\A\D*(?:\b(?:is|are|was|were|be|equals?|gives?|gets?|makes?|has|have)|['\u2019]s)\s*:?\s*(?P<said>[^\s=][^.!?\n=]*(?:\.[0-9]+[^.!?\n=]*)?)[.!]?\s*\Z"
)
_REASON = re.compile(r",?\s+(?:because|since|as|while|whereas)\b")
_ANOTHER_LETTER = re.compile(
    r"[\"'*)\]]*\s*(?:,|/|&|or\b|and\b)\s*[\"'*(\[]*[A-Z]"
    r"(?=[\"'*)\]]*\s*(?:$|[.,;:!?)]|or\b|and\b))"
)
_REFUTED = re.compile(
    r"[\"'*)\].:]*\s*(?:is|are|was)(?:n['\u2019]t|\s+(?:not|wrong|incorrect|false)\b)",
    re.IGNORECASE,
)
_QUOTES = str.maketrans("\u2018\u2019\u02bc\u201c\u201d", "'''\"\"")
_DENIAL = r"(?<!\w)(?i:not|never|no|nor|rather than|instead of|\w+n['\u2019]t)\s+(?:(?:the|a|an|really)\s+)?[\"'*(]*"


def _words(text: str) -> str:
    """A text for comparison, with plain quotes: models write both kinds."""
    return normalise(text.translate(_QUOTES))


def is_correct(item: Item, text: str) -> bool:
    """Whether generated text answers an item correctly.

    With choices, the text has to name the right option. Without, the comparison depends on the
    right answer: numbers by value (the last number, unless an answer is marked), yes and no by the
    verdict of the reply, anything else by its words, see `scores.words`. One of several right
    answers is enough.

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
    if same_words(reference, text):
        return True
    gold = next(iter(explicit_parts(reference)), reference)
    number = written_quantity(gold)
    if number is not None:
        found = stated_quantity(text)
        return found is not None and found.same(number)
    answer = _words(gold)
    if answer in VERDICTS:
        return spoken_verdict(text) == answer
    return any(
        same_words(gold, shown)
        for part in candidates(text)
        for shown in (part, plain(part), first_sentence(part))
    )


def extract_choice(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text names, by letter or by text; None if unclear.

    Example:
        >>> choices = {"A": "path", "B": "no path"}
        >>> extract_choice("(B)", choices), extract_choice("There is no path.", choices)
        ('B', 'B')
        >>> extract_choice("It is either A or B.", choices) is None
        True
    """
    *marked, whole = map(plain, candidates(text))
    reasoned = [_REASON.split(part, maxsplit=1)[0] for part in marked]
    for part in (*reasoned, *marked, _without_list(whole, choices)):
        for find in (_exact_option, _leading_letter, _named_letter, _mentioned_option):
            letter = find(part, choices)
            if letter is not None:
                return letter
    return None


def extract_number(text: str) -> Fraction | None:
    """The number that a text gives as its answer, see `stated_quantity`; its unit is ignored.

    Example:
        >>> print(extract_number("So 5 boxes of 250 g weigh 1,250 g."))
        1250
        >>> print(extract_number("The answer is $18 for 3 days."))
        18
        >>> print(extract_number(r"Therefore \\boxed{-4.50}, as 9 was given."))
        -9/2
        >>> extract_number("no idea") is None
        True
    """
    found = stated_quantity(text)
    return None if found is None else found.value


def same_number(reference: str, text: str) -> bool:
    """Whether a text gives the number of a reference as its answer.

    Example:
        >>> same_number("So 0 remain.", "0"), same_number("0.5", "50%"), same_number("none", "none")
        (True, True, False)
    """
    expected = stated_quantity(reference)
    found = stated_quantity(text)
    return expected is not None and found is not None and found.same(expected)


def check_number(item: Item, where: str) -> None:
    """Refuse an item none of whose right answers is a number: every reply would be wrong.

    Raises:
        UserError: names the item.
    """
    if all(stated_quantity(reference) is None for reference in item.references):
        raise UserError(
            f"{where} example {item.id}: its answer is no number, which `metric` numeric needs; "
            "correct it, or take `metric` accuracy"
        )


@lru_cache(maxsize=4096)  # votes compare texts pairwise
def stated_answer(text: str) -> Quantity | str:
    """The answer of a text in a form for comparison: a number or normalised words.

    Example:
        >>> stated_answer("The answer is $1,200."), stated_answer(" Lima. ")
        (Quantity(value=Fraction(1200, 1), factor=Fraction(1, 1)), 'lima')
    """
    *marked, whole = candidates(text)
    explicit = plain(marked[0]) if marked else whole
    clause = _EXPLAINED.split(explicit, maxsplit=1)[0] if marked else whole
    number = written_quantity(_VARIABLE.sub("", clause))
    said = None if marked else _SAID.search(text)
    if number is None and said is not None:
        number = written_quantity(said["said"])
    if number is not None:
        return number
    words = _words(clause)
    return words if words in VERDICTS else _words(explicit) or text.strip()


def _without_list(text: str, choices: Mapping[str, str]) -> str:
    """A text without the list of options that it begins with."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = 0
    for line, (letter, option) in zip(lines, choices.items(), strict=False):
        if not re.fullmatch(rf"[\W_]*{letter}[\W_]+{re.escape(option.strip())}[\W_]*", line):
            break
        told += 1
    return text if told < 2 else "\n".join(lines[told:])


def _exact_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The option whose letter or text is the whole text; case only distinguishes options."""
    bare = text.strip(EDGES)
    if bare in choices:
        return bare
    exact = [letter for letter, option in choices.items() if option.strip() == bare]
    same = exact or [letter for letter, option in choices.items() if _words(option) == _words(bare)]
    if same:
        return same[0] if len(same) == 1 else None
    return bare.upper() if bare.upper() in choices else None


def _leading_letter(text: str, choices: Mapping[str, str]) -> str | None:
    match = _LEADING_LETTER.match(text)
    if match is None or match["letter"] not in choices:
        return None
    rest = match["rest"]
    told = rf"[\W_]*{re.escape(choices[match['letter']])}"  # "A. Paris is wrong"
    if _ANOTHER_LETTER.match(rest) or _REFUTED.match(re.sub(rf"\A{told}", "", rest)):
        return None
    follows = _AFTER_WORDLIKE_LETTER if match["letter"] in "AI" else _AFTER_LETTER
    if follows.match(rest) is None or _named_letter(rest, choices):
        return None
    return match["letter"]


def _named_letter(text: str, choices: Mapping[str, str]) -> str | None:
    """The only letter in brackets or after "option"."""
    named = [match for match in _NAMED_LETTER.finditer(text) if not _denied(text, match)]
    if any(_ANOTHER_LETTER.match(text, match.end()) for match in named):
        return None
    letters = {match[match.lastindex or 0] for match in named} & choices.keys()
    return letters.pop() if len(letters) == 1 else None


def _denied(text: str, match: re.Match[str]) -> bool:
    """Whether a text denies this letter."""
    before = re.search(rf"{_DENIAL}$", text[: match.start()])
    return before is not None or _REFUTED.match(text, match.end()) is not None


def _mentioned_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The only option whose text occurs as whole words and is not denied; a longer option hides
    those inside it ("no path", "path").
    """
    rest = _words(text)
    options = {letter: _words(option) for letter, option in choices.items()}
    mentioned = set()
    for option in sorted(set(options.values()) - {"", "a", "i"}, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
        rest = re.sub(_DENIAL + pattern, "\0", rest, flags=re.IGNORECASE)
        if re.search(pattern, rest):
            mentioned.add(option)
            rest = re.sub(pattern, "\0", rest)
    letters = [letter for letter, option in options.items() if option in mentioned]
    return letters[0] if len(letters) == 1 else None
