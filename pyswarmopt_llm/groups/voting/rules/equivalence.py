"""Equivalence of answers: "1,200" and "$1200.00", "Lima." and "The answer is Lima"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyswarmopt_llm.tasks.answers import stated_answer

Same = Callable[[str, str], bool]


def equivalent(a: str, b: str) -> bool:
    """Whether two texts state the same answer, by the reading of `pyswarmopt_llm.tasks.is_correct`.

    What stands in a LaTeX box or behind "the answer is" counts, else the text as a whole. Numbers are compared by value
    (thousands separators, currency signs and a unit do not matter), other texts without regard to case, spaces and
    punctuation around them.

    Example:
        >>> equivalent("The answer is $1,200.", "1200.00"), equivalent("Lima", "lima.")
        (True, True)
        >>> equivalent("5", "3 + 5"), equivalent("Lima", "not Lima")
        (False, False)
    """
    return stated_answer(a) == stated_answer(b)


def cluster(answers: Sequence[str | None], same: Same = equivalent) -> list[str | None]:
    """Each answer replaced by the first-listed one that means the same; None for an abstention.

    Answers are in one cluster if a chain of pairs that are the `same` joins them, so the clusters do not depend on the
    order of the members. None, and a blank text, is an abstention.

    Args:
        answers: one per member.
        same: whether two different texts mean the same; called once per pair, so it may be a model.

    Raises:
        ValueError: `answers` is one string, or holds something else than strings and None.

    Example:
        >>> cluster(["42", "forty-two", " 42.0 ", "", None])
        ['42', 'forty-two', '42', None, None]
    """
    if isinstance(answers, str):
        raise ValueError(f"answers is the single text {answers!r}: give a list with one answer per member")
    for i, answer in enumerate(answers):
        if not (answer is None or isinstance(answer, str)):
            raise ValueError(f"answers[{i}] is {answer!r}: give a text, or None for a member that abstains")
    texts = [None if answer is None or not answer.strip() else answer.strip() for answer in answers]
    leader: dict[str, str] = {}
    for text in dict.fromkeys(text for text in texts if text is not None):
        joined = {leader[other] for other in leader if same(other, text)}
        first = next((other for other in leader if other in joined), text)
        leader = {other: first if old in joined else old for other, old in leader.items()} | {text: first}
    return [None if text is None else leader[text] for text in texts]


__all__ = ["Same", "cluster", "equivalent"]
