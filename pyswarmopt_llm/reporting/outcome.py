"""The verdict on a finished search: whether it gained over the best single expert, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.paired import LEVEL, Difference
from pyswarmopt_llm.evaluation.result import RivalScore, RunResult
from pyswarmopt_llm.reporting.verdict import Verdict, difference, too_few

ALIKE = 0.1  # share of dev items on which experts that are alike differ at most
LEAST_SHARE = 0.25  # of the largest weight, from which on an expert counts as taken
_EXACT = 5e-4  # a weight this close to 0 or 1 is 0 or 1
_RIVALS = {  # name in ``result.json`` -> in a sentence
    "base": "the base as it is",
    "base-tuned": "fine-tuning the base alone on the same items",
    "expert-tuned": "fine-tuning the best expert alone",
}


def verdict(result: RunResult) -> Verdict:
    """The verdict on a finished search, with at most two reasons."""
    kind, sentence = _outcome(result)
    return Verdict(kind, " ".join([sentence, *_rivals(result)]), tuple(_reasons(kind, result))[:2])


def mixture_name(result: RunResult) -> str:
    """The search's result before any training, by the name of its weights if they have one.

    These are ``base``, ``sum of all experts``, ``average of all experts`` and ``expert NAME``; any
    other is a ``mixture``, or a ``graph``.
    """
    if result.graph is not None:
        return "graph"
    weights = result.coefficients
    if len(weights) < 2:
        return "mixture"
    equal = {"base": 0.0, "sum of all experts": 1.0, "average of all experts": 1 / len(weights)}
    for name, weight in equal.items():
        if all(abs(other - weight) < _EXACT for other in weights.values()):
            return name
    used = [name for name, weight in weights.items() if abs(weight) >= _EXACT]
    return (
        f"expert {used[0]}" if len(used) == 1 and abs(weights[used[0]] - 1) < _EXACT else "mixture"
    )


def _ahead(result: RunResult, split: str = "test") -> Difference | None:
    """The result's lead over the best single expert."""
    return result.combined.get(split) if result.tasks else difference(result.paired, split)


def _rivals(result: RunResult) -> Iterator[str]:
    """The result beside its rivals: first those that are trained as it is."""
    parts = []
    for rival in result.rivals:
        if rival.row == "best":
            yield (
                f"This is the {'base' if rival.name == 'base-tuned' else 'best expert'}, "
                "fine-tuned."
            )
        elif rival.name in _RIVALS and rival.test is not None:
            lead = _lead(rival)
            # Where training is the question, the base as it is is worth a word only if it is not
            # worse.
            if rival.name != "base" or result.trained is None or lead is None or lead.sign != 1:
                parts.append(f"{_RIVALS[rival.name]}: {rival.test:.3f}{_beside(lead)}")
    if parts:
        text = "; ".join(parts)
        yield f"{text[0].upper()}{text[1:]}."


def _lead(rival: RivalScore) -> Difference | None:
    """The lead of the result over a rival."""
    if rival.difference is None or rival.interval is None:
        return None
    return Difference(rival.difference, *rival.interval, rival.p)


def _beside(lead: Difference | None) -> str:
    """A rival in words, by the lead of the result over it."""
    if lead is None:
        return ""
    if not lead.sign:
        return f", no measurable difference ({lead.mean:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}])"
    low, high = sorted((abs(lead.low), abs(lead.high)))
    return (
        f", {'worse' if lead.sign > 0 else 'better'} by {abs(lead.mean):.3f} [{low:.3f}, "
        f"{high:.3f}]"
    )


def _outcome(result: RunResult) -> tuple[str, str]:
    """Kind and sentence."""
    test, single_test = result.best_test, result.best_single_test
    alone, paired = _alone(result), _ahead(result)
    if alone is not None:
        return "same", f"This is {alone} itself: no mixture did better on dev."
    expert = f"the best single expert, {result.best_single}"
    if test is None or single_test is None:
        dev = f"{result.best_dev:.3f} against {result.best_single_dev:.3f} for {expert}"
        return (
            "untested",
            f"On dev {dev}; there is no test split, so nothing is known about unseen items.",
        )
    if paired is None:
        return "unpaired", (
            f"On unseen items {test:.3f} against {single_test:.3f} for {expert} "
            f"({test - single_test:+.3f}); without "
            "outcomes item by item the difference cannot be tested."
        )
    items, scores = counted(paired.items, "unseen item"), f"{test:.3f} against {single_test:.3f}"
    if paired.sign > 0:
        return "better", f"Better than {expert}, {paired.size} on {items}: {scores}."
    if paired.sign < 0:
        return (
            "worse",
            f"Worse than {expert}, {paired.size} on {items}: {scores}. Keep {result.best_single}.",
        )
    return "level", f"No measurable difference from {expert}, on {items}: {scores}, {paired}."


def _alone(result: RunResult) -> str | None:
    """The result's name if it equals one of its sources, and no item is answered otherwise."""
    if result.trained or result.graph is not None:
        return None
    ones = [name for name, weight in result.coefficients.items() if abs(weight - 1) < _EXACT]
    others = [weight for weight in result.coefficients.values() if abs(weight) >= _EXACT]
    changed = any(
        pair.gained or pair.lost for splits in result.paired.values() for pair in splits.values()
    )
    if not others:
        return "the base"
    if len(ones) != 1 or len(others) != 1 or (changed and ones[0] == result.best_single):
        return None
    return f"expert {ones[0]}"


def not_held_out(name: str) -> str:
    """The remark on a score of the user's own that has no test split.

    Example:
        >>> print(not_held_out("style"))
        style has no parameter `split`, so nothing is held out and there is no test score: write
        def style(engine, split="dev") and score other prompts where split is "test"
    """
    remedy = f'write def {name}(engine, split="dev") and score other prompts where split is "test"'
    return (
        f"{name} has no parameter `split`, so nothing is held out and there is no test score: "
        f"{remedy}"
    )


def _missing(result: RunResult) -> Iterator[str]:
    """The gap that a score of the user's own leaves, and the code that fills it."""
    for name, function in result.own_scores.items():
        if function.items < 2:
            yield (
                f"{name} returns one number, so there is no interval and no test of a difference. "
                "With one score per item there are both: `from pyswarmopt_llm import score_of`, "
                "and at its end `return score_of([score of each item])`."
            )
        if not function.held_out:
            yield f"{not_held_out(name)}."


def _reasons(kind: str, result: RunResult) -> Iterator[str]:
    """Why it came out so, as far as the figures show it."""
    yield from _missing(result)
    yield from _training(result)
    dev, test = _ahead(result, "dev"), _ahead(result)
    differ = None if result.experts is None else result.experts.differ
    alike = differ is not None and differ <= ALIKE
    if kind == "better":
        yield from _chosen_experts(result)
        if differ is not None and not alike:
            yield (
                f"The experts know different things: they differ on {differ:.1%} of the dev items."
            )
        return
    if dev is not None and test is not None and dev.low > max(test.mean, 0.0):
        yield (
            f"The gain on dev, {dev.mean:+.3f}, does not hold on test: the mixture was chosen from "
            f"{counted(result.evaluations, 'evaluation')} on {counted(dev.items, 'item')}."
        )
    if alike:
        yield (
            f"The experts are alike: they differ on {differ:.1%} of the dev items, so there is "
            "little to combine."
        )
    yield from _made_for_it(result)
    tests = [splits["test"] for splits in result.paired.values() if "test" in splits]
    few = too_few(tests[0], None if dev is None else dev.items) if len(tests) == 1 else None
    if kind == "level" and few is not None:
        yield few


def _chosen_experts(result: RunResult) -> Iterator[str]:
    """The experts that a mixture takes, leaves out and subtracts, unless it takes all."""
    weights = result.coefficients
    least = LEAST_SHARE * max(map(abs, weights.values()), default=0.0)
    taken = [name for name, weight in weights.items() if weight >= least]
    subtracted = [name for name, weight in weights.items() if weight <= -least]
    rest = [name for name in weights if name not in (*taken, *subtracted)]
    if mixture_name(result) != "mixture" or not taken or len(taken) == len(weights):
        return
    parts = [f"takes {listed(taken)}"]
    if rest:
        parts.append(f"leaves out {listed(rest)} (less than a quarter of the largest weight)")
    if subtracted:
        parts.append(f"subtracts {listed(subtracted)}")
    yield f"Of {len(weights)} experts it {listed(parts)}."


def listed(words: Sequence[str]) -> str:
    """Words in a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _training(result: RunResult) -> Iterator[str]:
    """The effect of training on dev, where the search tried it."""
    if result.trained_dev is None:
        return
    name, dev = mixture_name(result), _ahead(result, "dev")
    start = "a mixture of your experts" if name == "mixture" else f"the {name}"
    start = start.removeprefix("the expert ")
    examples = "your examples" if dev is None else f"your {dev.items} examples"
    if (iteration := result.expert_iteration) is not None:
        examples = f"its best replies to {counted(iteration.kept, 'prompt')}"
    gain, before = difference(result.paired_training or {}), result.mixture_test
    if result.tasks:
        gain = result.combined_training.get("test")
    if not result.trained:
        test = (
            ""
            if gain is None or result.trained_test is None
            else f"; it scores {result.trained_test:.3f} on test"
        )
        yield f"Training {start} on {examples} made it worse on dev{test}."
    else:
        without = ""
        if gain is not None and before is not None:
            interval = f"95% interval {gain.low:+.3f} to {gain.high:+.3f}"
            without = f"; without training {before:.3f} ({gain.mean:+.3f}, {interval})"
        yield f"It is {start}, trained on {examples}{without}."


def _made_for_it(result: RunResult) -> Iterator[str]:
    """The expert that is far ahead of all others, if there is one."""
    experts, single = result.experts, result.best_single
    if experts is None:
        return
    if experts.dropped:
        next_best = f"the next, {experts.second}, {experts.dev[experts.second]:.3f}"
        items = counted(experts.dropped[experts.second], "item")
        yield (
            f"One expert is made for this task: {single} has {experts.dev[single]:.3f} on dev, "
            f"{next_best} on {items}, after which it dropped out."
        )
    if experts.ahead is None:
        return
    if experts.ahead.interval[0] > 0 and experts.ahead.p_value < LEVEL:
        scores = (
            f"{experts.dev[single]:.3f} on dev, the next, {experts.second}, "
            f"{experts.dev[experts.second]:.3f}"
        )
        yield f"One expert is made for this task: {single} has {scores}."
