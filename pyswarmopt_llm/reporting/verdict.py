"""The comparison of two models by their scores on the same items: numbers and a sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.paired import Comparison, Difference, Paired

MOST_NEEDED = 10  # a power statement may ask for so many times the items that there are


@dataclass(frozen=True)
class Verdict:
    """The meaning of a result.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (it is an expert itself), ``untested`` (no
            test split) or ``unpaired`` (no outcomes item by item).
        sentence: the result in words.
        reasons: why, the most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


def difference(paired: Paired, split: str = "test") -> Difference | None:
    """The comparison on a split of the only task; None if it has no items.

    Of several tasks see `RunResult.combined`.

    Example:
        >>> test = difference({"t": {"test": Comparison(0.1, (0.02, 0.18), 0.01, 90, 15, 6, 80)}})
        >>> test.sign, test.size
        (1, 'by 0.100 (95% interval 0.020 to 0.180)')
    """
    pairs = [splits[split] for splits in paired.values() if split in splits]
    return _of_one(pairs[0]) if len(pairs) == 1 else None


def _of_one(pair: Comparison) -> Difference:
    return Difference(pair.difference, *pair.interval, pair.p_value, pair.n)


def too_few(test: Comparison, dev_items: int | None = None) -> str | None:
    """The number of items that would show this difference, where they can be collected.

    Args:
        test: on test items.
        dev_items: on which a search chose; None without a search.
    """
    seen, needed = test.n, test.items_needed
    if test.difference <= 0 or needed is None or not seen < needed <= MOST_NEEDED * seen:
        return None
    dev = "" if dev_items is None or dev_items >= needed else f"{dev_items} dev and "
    return (
        f"{dev}{seen} test items are too few to show a difference of {test.difference:.3f}: it "
        f"takes about {needed} test items (80% power)."
    )


def between(
    names: tuple[str, str], scores: tuple[float, float], pair: Comparison, split: str
) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: of the models.
        scores: of each.
        pair: the first compared with the second.
        split: that of the items, dev or test.

    Example:
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, 80)
        >>> print(between(("the base", "x"), (0.7, 0.6), pair, "test").sentence)
        The base is better than x, by 0.100 (95% interval 0.020 to 0.180) on 90 test items: 0.700 against 0.600.
    """
    first, second = names
    lead = _of_one(pair)
    items, seen = counted(pair.n, f"{split} item"), f"{scores[0]:.3f} against {scores[1]:.3f}"
    reasons: tuple[str, ...] = ()
    if split == "dev":
        reasons = ("Dev items guide searches and training: compare on test, too.",)
    if not (pair.gained or pair.lost):
        alike = (
            f"No difference between {first} and {second}: the same score on each of {items} "
            f"({scores[0]:.3f})."
        )
        return Verdict("same", alike, reasons)
    if lead.sign:
        kind = "better" if lead.sign > 0 else "worse"
        subject = first[0].upper() + first[1:] if first.startswith("the ") else first
        return Verdict(
            kind, f"{subject} is {kind} than {second}, {lead.size} on {items}: {seen}.", reasons
        )
    few = too_few(replace(pair, difference=abs(pair.difference))) if split == "test" else None
    sentence = f"No measurable difference between {first} and {second}, on {items}: {seen}, {lead}."
    return Verdict("level", sentence, reasons if few is None else (*reasons, few))
