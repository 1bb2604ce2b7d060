"""The sentences about a result, for terminal, report and model card: one function each.

A difference is the result, or the first model, minus the other, shown with the interval and the
p-value of one test (`paired_test`). Text from outside is put on one line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pyswarmopt.base.words import counted
from pyswarmopt_llm.report.phrases import mixture_name, one_line, p_text, signed, upper_first

if TYPE_CHECKING:
    from pyswarmopt_llm.common.statistics import Comparison
    from pyswarmopt_llm.searching.scoring.result import Result

Kind = Literal["better", "level", "behind", "worse", "same", "untested", "unpaired"]
_LEADS = {
    "better": "Better than",
    "worse": "Worse than",
    "behind": "Behind",
    "level": "Not significantly different from",
}
_MEANS = {"harmonic": "harmonic mean", "arithmetic": "mean"}
_MOST_NEEDED = 10  # a statement on power names at most this multiple of the available examples


# A difference and its test


def tested(pair: Comparison) -> str:
    """A difference with its test, for a sentence.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> tested(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200)))
        '+0.100 (95% interval +0.020 to +0.180, p = 0.014)'
    """
    low, high = pair.interval
    return (
        f"{signed(pair.difference)} (95% interval {signed(low)} to {signed(high)}, "
        f"{p_text(pair.p_value)})"
    )


def tested_briefly(pair: Comparison) -> str:
    """A difference with its test, for a list.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> tested_briefly(Comparison(0.02, (-0.08, 0.12), 0.6, 90, 8, 6, None))
        '+0.020 [-0.080, +0.120], not significant (p = 0.60)'
    """
    low, high = pair.interval
    p_value = p_text(pair.p_value) if pair.sign else f"not significant ({p_text(pair.p_value)})"
    return f"{signed(pair.difference)} [{signed(low)}, {signed(high)}], {p_value}"


def compared(
    kind: str,
    other: str,
    scores: tuple[float, float],
    pair: Comparison,
    items: str = "unseen example",
) -> str:
    """A sentence on a model against another on the same items.

    Args:
        kind: ``better``, ``worse``, ``behind`` (but not significantly) or ``level``.
        other: the other model's name.
        scores: scores of the model and of the other.
        pair: the model minus the other.
        items: what was scored, singular.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200))
        >>> compared("better", "x", (0.7, 0.6), pair)
        'Better than x: 0.700 against 0.600 on 90 unseen examples, +0.100 (95% interval +0.020 to +0.180, p = 0.014).'
    """
    but = ", but not significantly" if kind == "behind" else ""
    ours, theirs = scores
    return (
        f"{_LEADS[kind]} {other}{but}: {ours:.3f} against {theirs:.3f} on "
        f"{counted(pair.n, items)}, {tested(pair)}."
    )


def without_test(other: str, ours: float, theirs: float) -> str:
    """A sentence on a model against another, without a test.

    Example:
        >>> without_test("the base", 0.7, 0.6).partition(";")[0]
        'On unseen examples 0.700 against 0.600 for the base (+0.100)'
    """
    return (
        f"On unseen examples {ours:.3f} against {theirs:.3f} for {other} ({ours - theirs:+.3f}); "
        "without outcomes of two or more examples the difference cannot be tested."
    )


def between(
    kind: str,
    names: tuple[str, str],
    scores: tuple[float, float],
    pair: Comparison,
    items: str,
) -> str:
    """A sentence on two models on the same items.

    Args:
        kind: see `compared`; ``same``: equal on every item.
        names: names of the models.
        scores: scores of both models.
        pair: first minus second.
        items: what was scored, singular.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> pair = Comparison(0.0, (-0.03, 0.03), 1.0, 90, 0, 0, None)
        >>> between("same", ("the base", "x"), (0.6, 0.6), pair, "dev example")
        'No difference between the base and x: the same score on each of 90 dev examples (0.600).'
        >>> between("level", ("the base", "x"), (0.6, 0.6), pair, "dev example").partition(":")[0]
        'The base is not significantly different from x'
    """
    first, second = names
    if kind == "same":
        each = f"the same score on each of {counted(pair.n, items)} ({scores[0]:.3f})"
        return f"No difference between {first} and {second}: {each}."
    subject = upper_first(first) if first.startswith("the ") else first
    return f"{subject} is {_lower(compared(kind, second, scores, pair, items))}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def too_few(pair: Comparison, gain: float, dev: Comparison | None = None) -> str:
    """How many examples would show a gain; "" if that is no help.

    Args:
        pair: a comparison on test.
        gain: the gain on test.
        dev: the comparison on dev.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> too_few(Comparison(0.02, (-0.08, 0.12), 0.6, 90, 8, 6, (200, None)), 0.02)
        'To show a difference of 0.020 with 80% power takes 200 or more test examples; there are 90.'
        >>> too_few(Comparison(0.2, (-0.1, 0.5), 0.2, 90, 8, 6, (70, 283044)), 0.2)
        'To show a difference of 0.200 with 80% power may take more than 900 test examples; there are 90.'
        >>> too_few(Comparison(0.2, (-0.1, 0.5), 0.2, 60, 8, 6, (11, 112)), 0.2)
        'To show a difference of 0.200 with 80% power may take 11 to 112 test examples; there are 60.'
    """
    if gain <= 0 or not pair.items_needed:
        return ""
    least, most = pair.items_needed
    affordable = _MOST_NEEDED * pair.n
    if least > affordable or (most is not None and most <= pair.n):
        return ""
    takes = "takes" if least > pair.n else "may take"
    if most is not None and most <= affordable:
        count = f"{least:,} to {most:,}"
    else:
        count = f"{least:,} or more" if least > pair.n else f"more than {affordable:,}"
    also = f", and {dev.n} on dev" if dev and dev.n < least else ""
    return (
        f"To show a difference of {gain:.3f} with 80% power {takes} {count} test examples; "
        f"there are {pair.n}{also}."
    )


# What the result is, and its comparison with the baselines


def outcome(kind: str, result: Result, alone: str | None) -> Iterator[str]:
    """What the result is, then its comparisons with the better plain fine-tuning, the best expert
    and the other baselines.

    Args:
        kind: kind of the verdict.
        result: result of the search.
        alone: name of the source that equals the result, if any.
    """
    if alone is not None:
        yield unchanged(alone)
    if tuning := _plain_fine_tuning(result):
        yield fine_tuned(tuning, by_replies=result.expert_iteration is not None)
    names = baseline_names(result)
    for name in result.plain[:1]:
        yield _on_test(result, name, names[name])
    single = f"the best single expert, {one_line(result.best_single)}"
    if kind == "untested":
        yield _on_dev(result, single)
    elif kind != "same":
        keep = f" Keep {one_line(result.best_single)}." if kind == "worse" else ""
        yield _on_test(result, "best_single", single) + keep
    if others := list(_other_baselines(result, names)):
        yield f"Result minus baseline: {'; '.join(others)}."
    yield from _constant_answer(result)
    tests = len(result.read_together("test"))
    if tests > 1 and kind in ("better", "worse", "level"):
        yield f"Intervals and p are corrected for {tests} tests (Holm)."


def unchanged(name: str) -> str:
    """The result is one of its sources.

    Example:
        >>> unchanged("expert law")
        'This is expert law itself: no mixture that was tried did better on dev.'
    """
    return f"This is {one_line(name)} itself: no mixture that was tried did better on dev."


def fine_tuned(name: str, by_replies: bool) -> str:
    """The result is a plain fine-tuning.

    Example:
        >>> fine_tuned("base", by_replies=False), fine_tuned("base", by_replies=True)
        ('This is the base, fine-tuned.', 'This is the base, trained on its own replies.')
    """
    return f"This is the {name}, {'trained on its own replies' if by_replies else 'fine-tuned'}."


def _plain_fine_tuning(result: Result) -> str:
    """The plain fine-tuning that equals the result; else ""."""
    for name, words in (("base_tuned", "base"), ("expert_tuned", "best expert")):
        model = result.models.get(name)
        if model is not None and result.best.trained and model.same(result.best):
            return words
    return ""


def baseline_names(result: Result) -> dict[str, str]:
    """Baseline -> its name in a sentence."""
    base = "plain fine-tuning of the base"
    if result.expert_iteration is not None:
        base = "the base, trained on its own replies"
    return {
        "base": "the base as it is",
        "base_tuned": base,
        "expert_tuned": f"plain fine-tuning of the best expert, {one_line(result.best_single)}",
    }


def _on_test(result: Result, name: str, called: str) -> str:
    """The result against another model on test; the sentence says if that model is ahead."""
    pair = result.lead(name)
    ours = _test_score(result, "best")
    theirs = _test_score(result, name)
    if pair is None:
        return without_test(called, ours, theirs)
    kind = {1: "better", -1: "worse"}.get(pair.sign, "behind" if pair.difference < 0 else "level")
    return compared(kind, called, (ours, theirs), pair)


def _test_score(result: Result, name: str) -> float:
    scores = result.models[name].test
    return math.nan if scores is None else scores.value


def _on_dev(result: Result, single: str) -> str:
    """The result against the best expert on dev, without a test split."""
    expert = result.models["best_single"].dev.value
    base = result.models.get("base")
    beside = "" if base is None else f", and {base.dev.value:.3f} for the base"
    return (
        f"On dev {result.best.dev.value:.3f} against {expert:.3f} for {single}{beside}; there is no "
        "test split, so nothing is known about unseen examples."
    )


def _other_baselines(result: Result, names: Mapping[str, str]) -> Iterator[str]:
    """The baselines without a sentence: the base (unless a search with training beats it) and the
    other plain fine-tuning.
    """
    for name in ["base", *result.plain[1:]]:
        model = result.models.get(name)
        pair = result.lead(name)
        if model is None or model.test is None or model.same(result.best):
            continue
        if name == "base" and "trained" in result.models and pair and pair.sign > 0:
            continue
        difference = f" {tested_briefly(pair)}" if pair else ""
        yield f"{names[name]} ({model.test.value:.3f}){difference}"


def _constant_answer(result: Result) -> Iterator[str]:
    split = "test" if result.best.test else "dev"
    pair = result.lead("commonest", split)
    scores = result.models["commonest"].on(split) if pair else None
    if pair and scores and pair.sign <= 0:
        yield constant_answer(scores.value, pair, on_dev=split == "dev")


def constant_answer(value: float, pair: Comparison, on_dev: bool) -> str:
    """A sentence on one label for all examples.

    Args:
        value: score of the constant answer.
        pair: result minus constant answer.
        on_dev: whether the scores are on dev.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> pair = Comparison(0.02, (-0.08, 0.12), 0.6, 90, 8, 6, None)
        >>> constant_answer(0.6, pair, on_dev=False).partition(": +0.020")[0]
        'Always answering the commonest label has 0.600; result minus that'
    """
    where = " on dev" if on_dev else ""
    return (
        f"Always answering the commonest label has {value:.3f}{where}; result minus that: "
        f"{tested_briefly(pair)}."
    )


# Reasons


def reasons(
    kind: str, result: Result, dev: Comparison | None, test: Comparison | None
) -> Iterator[str]:
    """Further evidence for a verdict, most telling first.

    Args:
        kind: kind of the verdict.
        result: result of the search.
        dev, test: result minus best expert.
    """
    if "trained" in result.models:
        yield _training(result, dev)
    if kind == "better":
        return
    if dev and test and dev.interval[0] > max(test.difference, 0):
        yield not_on_test(dev, result.cost.evaluations)
    yield from _ahead(result)
    if kind == "level" and test and not result.several_tasks:
        yield from filter(None, [too_few(test, test.difference, dev)])


def not_on_test(dev: Comparison, evaluations: int) -> str:
    """A gain on dev that test does not show.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> not_on_test(Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200)), 30)
        'The gain on dev, +0.100, does not hold on test: the mixture was chosen from 30 evaluations on 90 examples.'
    """
    return (
        f"The gain on dev, {dev.difference:+.3f}, does not hold on test: the mixture was chosen "
        f"from {counted(evaluations, 'evaluation')} on {counted(dev.n, 'example')}."
    )


def _training(result: Result, dev: Comparison | None) -> str:
    mixture = mixture_name(result)
    start = f"the {mixture}"
    if mixture == "mixture":
        start = "a mixture of your experts"
    elif mixture.startswith("expert "):
        start = one_line(mixture.removeprefix("expert "))
    examples = "your examples" if dev is None else f"your {dev.n} examples"
    if result.expert_iteration:
        examples = f"its best replies to {counted(result.expert_iteration.kept, 'prompt')}"
    if result.best.trained:
        gain = result.lead("mixture")
        return trained(start, examples, _test_score(result, "mixture") if gain else None, gain)
    known = result.lead("mixture", of="trained") is not None
    return trained_in_vain(start, examples, _test_score(result, "trained") if known else None)


def trained(start: str, examples: str, before: float | None, gain: Comparison | None) -> str:
    """What was trained, and the gain.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> gain = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200))
        >>> trained("the base", "your 80 examples", 0.5, gain)
        'It is the base, trained on your 80 examples; without training 0.500, +0.100 [+0.020, +0.180], p = 0.014.'
    """
    without = f"; without training {before:.3f}, {tested_briefly(gain)}" if gain else ""
    return f"It is {start}, trained on {examples}{without}."


def trained_in_vain(start: str, examples: str, after: float | None) -> str:
    """Training that made the model worse.

    Example:
        >>> trained_in_vain("law", "your 80 examples", 0.4)
        'Training law on your 80 examples made it worse on dev; it scores 0.400 on test.'
    """
    then = "" if after is None else f"; it scores {after:.3f} on test"
    return f"Training {start} on {examples} made it worse on dev{then}."


def _ahead(result: Result) -> Iterator[str]:
    """The best expert and the runner-up on dev, if they differ."""
    if len(result.ranking) < 2:
        return
    names = result.best_single, result.ranking[1]
    best, second = (result.experts[name].dev.value for name in names)
    pair = result.ahead()
    if names[1] in result.dropped:
        yield dropped_out(names, (best, second), result.dropped[names[1]])
    elif pair and pair.sign > 0:
        yield ahead(names, (best, second), pair)


def dropped_out(names: tuple[str, str], scores: tuple[float, float], n: int) -> str:
    """The best expert and a runner-up scored on fewer examples.

    Example:
        >>> dropped_out(("law", "code"), (0.7, 0.5), 20).partition("; ")[2]
        'the next, code, had 0.500 on 20 examples and was not scored on the rest.'
    """
    best, second = map(one_line, names)
    return (
        f"The best expert, {best}, has {scores[0]:.3f} on dev; the next, {second}, had "
        f"{scores[1]:.3f} on {counted(n, 'example')} and was not scored on the rest."
    )


def ahead(names: tuple[str, str], scores: tuple[float, float], pair: Comparison) -> str:
    """The best expert and the runner-up.

    Example:
        >>> from pyswarmopt_llm.common.statistics import Comparison
        >>> pair = Comparison(0.1, (0.02, 0.18), 0.014, 90, 15, 6, (80, 200))
        >>> ahead(("law", "code"), (0.7, 0.6), pair).partition(": ")[0]
        'The best expert, law, is ahead of the next, code, on dev'
    """
    best, second = map(one_line, names)
    return (
        f"The best expert, {best}, is ahead of the next, {second}, on dev: {scores[0]:.3f} against "
        f"{scores[1]:.3f}, {tested(pair)}."
    )


# The table of scores


def combination(result: Result) -> str:
    """The combination of several objectives; "" for one."""
    if not result.several_tasks:
        return ""
    names = list(result.objectives)
    if not result.combine.startswith("keep:"):
        return one_line(f"{_MEANS.get(result.combine, result.combine)} of {', '.join(names)}")
    *others, kept = names
    least = result.combine.removeprefix("keep:")
    return one_line(f"mean of {', '.join(others)}, less ten times what {kept} has below {least}")


def model_labels(result: Result) -> dict[str, str]:
    """Model -> label in the score table, in the table's order; the average differs between spaces."""
    mixture = one_line(mixture_name(result))
    single = one_line(result.best_single)
    trained = result.best.trained
    tuning = "trained on its replies" if result.expert_iteration else "fine-tuned on dev"
    space = f" (space {one_line(result.space)})" if result.space else ""
    labels = {
        "commonest": "always the commonest label",
        "base": "base",
        "base_tuned": f"base, {tuning}",
        "expert_tuned": f"best expert, fine-tuned on dev: {single}",
        "best_single": f"best single expert: {single}",
        "uniform": f"uniform average{space}",
        "mixture": f"{mixture}, before training",
        "trained": f"{mixture}, trained",
        "best": f"{mixture}, trained" if trained else mixture,
    }
    for name in _once(result, mixture):
        del labels[name]
    return labels


def _once(result: Result, mixture: str) -> Iterator[str]:
    """Names of duplicate rows: the base if it is the untrained result, and "mixture" or "trained",
    whichever is the result.
    """
    if mixture == "base" and not result.best.trained:
        yield "base"
    if "trained" not in result.models or not result.best.trained:
        yield "mixture"
    if "trained" not in result.models or result.best.trained:
        yield "trained"


def about_dev(result: Result) -> str:
    """How the dev score of a trained model was computed; "" without training."""
    if "trained" not in result.models:
        return ""
    who = "the result" if result.best.trained else "the trained model"
    if result.expert_iteration and result.expert_iteration.spare:
        return f"On dev {who} is scored on prompts that it was not trained on."
    how = "each example is scored by a model that was trained without it"
    return f"On dev {who} is cross-fitted: {how}."
