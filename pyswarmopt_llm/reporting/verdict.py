"""What a run or a comparison found, in one sentence, and the reasons.

Torch is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt.base.words import counted

Json = Mapping[str, Any]
LEVEL = 0.05  # of significance
ALIKE = 0.1  # share of dev items on which experts that are alike differ at most
LEAST_SHARE = 0.25  # of the largest weight, from which on an expert counts as taken
MOST_NEEDED = 10  # a power statement may ask for so many times the items that there are
SINGLE = "best-single"  # the method of a comparison that the others are compared with
_EXACT = 5e-4  # a weight this close to 0 or 1 is 0 or 1


@dataclass(frozen=True)
class Verdict:
    """What a result means.

    Attributes:
        kind: ``better``, ``level``, ``worse``, ``same`` (it is an expert itself), ``untested`` (no test split) or
            ``unpaired`` (no outcomes item by item).
        sentence: the result in words.
        reasons: why, the most telling first.
    """

    kind: str
    sentence: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A paired difference on one split, over all tasks: mean, 95% interval, p-value where one task has it, items."""

    mean: float
    low: float
    high: float
    p_value: float | None
    items: int

    @property
    def sign(self) -> int:
        """1 or -1 where the difference is significant (interval, and test if there is one), else 0."""
        if self.p_value is not None and self.p_value >= LEVEL:
            return 0
        return int(self.low > 0) - int(self.high < 0)

    def interval(self, signed: bool = False) -> str:
        """The interval in words; of the size of a difference that has a sign, or with signs."""
        if signed:
            return f"95% interval {self.low:+.3f} to {self.high:+.3f}"
        low, high = (self.low, self.high) if self.mean >= 0 else (-self.high, -self.low)
        return f"95% interval {low:.3f} to {high:.3f}"


def difference(paired: Json, split: str = "test") -> Difference | None:
    """The mean over tasks of ``paired`` in ``result.json``; None where no task has that split.

    Example:
        >>> found = difference({"t": {"test": {"difference": 0.1, "interval": [0.02, 0.18], "p_value": 0.01, "n": 90}}})
        >>> found.sign, found.interval()
        (1, '95% interval 0.020 to 0.180')
    """
    found = [splits[split] for splits in paired.values() if split in splits]
    if not found:
        return None
    items = sum(one["n"] for one in found)
    if len(found) == 1:
        (one,) = found
        low, high = one["interval"]
        return Difference(one["difference"], low, high, one["p_value"], items)
    from pyswarmopt_llm.common.statistics import interval_over_tasks

    means = [one["difference"] for one in found]
    low, high = interval_over_tasks(means, [one["interval"] for one in found])
    return Difference(sum(means) / len(means), low, high, None, items)


def verdict(result: Json) -> Verdict:
    """The verdict on a finished search, from its ``result.json``.

    Example:
        >>> paired = {"difference": 0.1, "interval": [0.02, 0.18], "p_value": 0.014, "n": 90}
        >>> print(verdict({"best_dev": 0.8, "best_single_dev": 0.6, "best_test": 0.7, "best_single_test": 0.6,
        ...     "best_single": "x", "coefficients": {"x": 0.5, "y": 0.5}, "paired": {"t": {"test": paired}}}).sentence)
        Better than the best single expert, x, by 0.100 (95% interval 0.020 to 0.180) on 90 unseen items: 0.700
        against 0.600.
    """
    kind, sentence = _outcome(result)
    return Verdict(kind, " ".join([sentence, *_rivals(result)]), tuple(_reasons(kind, result))[:2])


def mixture_name(result: Json) -> str:
    """What the search found, before any training, by the name that its weights have if they have one.

    Example:
        >>> mixture_name({"coefficients": {"x": 1.0, "y": 1.0}}), mixture_name({"coefficients": {"x": 1.0, "y": 0.0}})
        ('sum of all experts', 'expert x')
        >>> mixture_name({"coefficients": {"x": 0.5, "y": 0.5}}), mixture_name({"coefficients": {"x": 0.8, "y": 0.1}})
        ('average of all experts', 'mixture')
    """
    if "graph" in result:
        return "graph"
    weights = result["coefficients"]
    if len(weights) < 2:
        return "mixture"
    known = {"base": 0.0, "sum of all experts": 1.0, "average of all experts": 1 / len(weights)}
    for name, weight in known.items():
        if all(abs(other - weight) < _EXACT for other in weights.values()):
            return name
    used = [name for name, weight in weights.items() if abs(weight) >= _EXACT]
    return f"expert {used[0]}" if len(used) == 1 and abs(weights[used[0]] - 1) < _EXACT else "mixture"


def result_name(result: Json) -> str:
    """What the run hands over.

    Example:
        >>> result_name({"coefficients": {"x": 1.0, "y": 1.0}, "trained": True})
        'sum of all experts, trained'
    """
    return f"{mixture_name(result)}{', trained' if result.get('trained') else ''}"


_RIVALS = {  # name in ``result.json`` -> in a sentence
    "base": "the base as it is",
    "base-tuned": "fine-tuning the base alone on the same items",
    "expert-tuned": "fine-tuning the best expert alone",
}


def _rivals(result: Json) -> Iterator[str]:
    """What the result is beside those that it is compared with: first those that are trained as it is."""
    said = []
    for rival in result.get("rivals", ()):
        if rival.get("row") == "best":
            yield f"This is the {'base' if rival['name'] == 'base-tuned' else 'best expert'}, fine-tuned."
        elif rival["name"] in _RIVALS and rival.get("test") is not None:
            text, sign = _beside(rival)
            # Where training is the question, the base as it is is worth a word only if it is not worse.
            if rival["name"] != "base" or sign != 1 or "trained" not in result:
                said.append(f"{_RIVALS[rival['name']]}: {text}")
    if said:
        text = "; ".join(said)
        yield f"{text[0].upper()}{text[1:]}."


def _beside(rival: Json) -> tuple[str, int]:
    """A rival's score with the difference in words, and the sign of the result's lead over it."""
    score, found = f"{rival['test']:.3f}", _lead(rival)
    if found is None:
        return score, 0
    if not found.sign:
        return f"{score}, no measurable difference ({found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}])", 0
    low, high = sorted((abs(found.low), abs(found.high)))
    words = "worse" if found.sign > 0 else "better"
    return f"{score}, {words} by {abs(found.mean):.3f} [{low:.3f}, {high:.3f}]", found.sign


def _lead(rival: Json) -> Difference | None:
    if "difference" not in rival or "interval" not in rival:
        return None
    low, high = rival["interval"]
    return Difference(rival["difference"], low, high, rival.get("p"), 0)


def _outcome(result: Json) -> tuple[str, str]:
    """Kind and sentence."""
    single, ours, theirs = result["best_single"], result.get("best_test"), result.get("best_single_test")
    alone, paired = _alone(result), difference(result.get("paired", {}))
    if alone is not None:
        return "same", f"This is {alone} itself: no mixture did better on dev."
    expert = f"the best single expert, {single}"
    if ours is None or theirs is None:
        dev = f"{result['best_dev']:.3f} against {result['best_single_dev']:.3f} for {expert}"
        return "untested", f"On dev {dev}; there is no test split, so nothing is known about unseen items."
    if paired is None:
        return "unpaired", (
            f"On unseen items {ours:.3f} against {theirs:.3f} for {expert} ({ours - theirs:+.3f}); without outcomes "
            "item by item the difference cannot be tested."
        )
    items, scores = counted(paired.items, "unseen item"), f"{ours:.3f} against {theirs:.3f}"
    if paired.sign > 0:
        return "better", f"Better than {expert}, by {paired.mean:.3f} ({paired.interval()}) on {items}: {scores}."
    if paired.sign < 0:
        lead = f"Worse than {expert}, by {-paired.mean:.3f} ({paired.interval()}) on {items}: {scores}"
        return "worse", f"{lead}. Keep {single}."
    seen = f"{scores}, {paired.mean:+.3f} ({paired.interval(signed=True)})"
    return "level", f"No measurable difference from {expert}, on {items}: {seen}."


def _alone(result: Json) -> str | None:
    """What the result is if it is one of those that it was made of, and no item is answered otherwise."""
    if result.get("trained") or "graph" in result:
        return None
    ones = [name for name, weight in result["coefficients"].items() if abs(weight - 1) < _EXACT]
    others = [weight for weight in result["coefficients"].values() if abs(weight) >= _EXACT]
    outcomes = [one for splits in result.get("paired", {}).values() for one in splits.values()]
    changed = any(one.get("gained") or one.get("lost") for one in outcomes)
    if not others:
        return "the base"
    if len(ones) != 1 or len(others) != 1 or (changed and ones[0] == result["best_single"]):
        return None
    return f"expert {ones[0]}"


def _start_of_training(result: Json) -> str:
    """What was trained on dev, in words."""
    name = mixture_name(result)
    if name == "mixture":
        return "a mixture of your experts"
    return name.removeprefix("expert ") if name.startswith("expert ") else f"the {name}"


def _examples(result: Json) -> str:
    dev = difference(result.get("paired", {}), "dev")
    return "examples" if dev is None else f"{dev.items} examples"


def not_held_out(name: str) -> str:
    """What to say of a score of the user's own that has no test split.

    Example:
        >>> print(not_held_out("style"))
        style has no parameter `split`, so nothing is held out and there is no test score: write
        def style(engine, split="dev") and score other prompts where split is "test"
    """
    remedy = f'write def {name}(engine, split="dev") and score other prompts where split is "test"'
    return f"{name} has no parameter `split`, so nothing is held out and there is no test score: {remedy}"


def _missing(result: Json) -> Iterator[str]:
    """What a score of the user's own leaves open, and the code that brings it."""
    for name, found in result.get("own_scores", {}).items():
        if found["items"] < 2:
            yield (
                f"{name} returns one number, so there is no interval and no test of a difference. With one score per "
                "item there are both: `from pyswarmopt_llm import score_of`, and at its end `return "
                "score_of([score of each item])`."
            )
        if not found["held_out"]:
            yield f"{not_held_out(name)}."


def _reasons(kind: str, result: Json) -> Iterator[str]:
    """Why it came out so, as far as the figures show it."""
    yield from _missing(result)
    experts, test = result.get("experts", {}), difference(result.get("paired", {}))
    dev, differ = difference(result.get("paired", {}), "dev"), experts.get("differ")
    if (trained := _training(result)) is not None:
        yield trained
    if kind == "better":
        if (chosen := _chosen_experts(result)) is not None:
            yield chosen
        if differ is not None:
            yield f"The experts know different things: they differ on {differ:.1%} of the dev items."
        return
    if dev is not None and test is not None and dev.low > max(test.mean, 0.0):
        yield (
            f"The gain on dev, {dev.mean:+.3f}, does not hold on test: the mixture was chosen from "
            f"{counted(result['evaluations'], 'evaluation')} on {counted(dev.items, 'item')}."
        )
    if differ is not None and differ <= ALIKE:
        yield f"The experts are alike: they differ on {differ:.1%} of the dev items, so there is little to combine."
    if (made := _made_for_it(result)) is not None:
        yield made
    if kind == "level" and (needed := _needed(result, dev)) is not None:
        yield needed


def _chosen_experts(result: Json) -> str | None:
    """Which experts a mixture takes, leaves out and subtracts; None where it takes all, or is named otherwise.

    Example:
        >>> print(_chosen_experts({"coefficients": {"x": 1.2, "y": 0.9, "z": 0.1, "w": -0.8}}))
        Of 4 experts it takes x and y, leaves out z (less than a quarter of the largest weight) and subtracts w.
    """
    weights = result["coefficients"]
    least = LEAST_SHARE * max(map(abs, weights.values()), default=0.0)
    taken = [name for name, weight in weights.items() if weight >= least]
    subtracted = [name for name, weight in weights.items() if weight <= -least]
    rest = [name for name in weights if name not in (*taken, *subtracted)]
    if mixture_name(result) != "mixture" or not taken or len(taken) == len(weights):
        return None
    parts = [f"takes {listed(taken)}"]
    if rest:
        parts.append(f"leaves out {listed(rest)} (less than a quarter of the largest weight)")
    if subtracted:
        parts.append(f"subtracts {listed(subtracted)}")
    return f"Of {len(weights)} experts it {listed(parts)}."


def listed(words: Sequence[str]) -> str:
    """Words in a sentence.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _training(result: Json) -> str | None:
    """What training on dev did, where the search tried it."""
    if "trained_dev" not in result:
        return None
    start, examples = _start_of_training(result), _examples(result)
    found = difference(result.get("paired_training", {}))
    if not result.get("trained"):
        test = "" if found is None else f"; it scores {result['trained_test']:.3f} on test"
        return f"Training {start} on your {examples} made it worse on dev{test}."
    made = f"It is {start}, trained on your {examples}"
    if found is None:
        return f"{made}."
    return f"{made}; without training {result['mixture_test']:.3f} ({found.mean:+.3f}, {found.interval(signed=True)})."


def _made_for_it(result: Json) -> str | None:
    """Where one expert is far ahead of all others."""
    experts = result.get("experts", {})
    ahead = experts.get("ahead")
    if ahead is None or ahead["interval"][0] <= 0 or ahead["p_value"] >= LEVEL:
        return None
    single, second = result["best_single"], experts["second"]
    scores = f"{experts['dev'][single]:.3f} on dev, the next, {second}, {experts['dev'][second]:.3f}"
    return f"One expert is made for this task: {single} has {scores}."


def _needed(result: Json, dev: Difference | None) -> str | None:
    """How many items would tell a difference of this size, where that is a number to think of collecting."""
    tests = [splits["test"] for splits in result.get("paired", {}).values() if "test" in splits]
    if len(tests) != 1 or tests[0]["difference"] <= 0 or tests[0].get("items_needed") is None:
        return None
    seen, needed = tests[0]["n"], tests[0]["items_needed"]
    if not seen < needed <= MOST_NEEDED * seen:
        return None
    few = (
        f"{seen} test items are" if dev is None or dev.items >= needed else f"{dev.items} dev and {seen} test items are"
    )
    size = f"{tests[0]['difference']:.3f}"
    return f"{few} too few to show a difference of {size}: it takes about {needed} test items (80% power)."


def between(names: tuple[str, str], scores: tuple[float, float], found: Json, split: str) -> Verdict:
    """The verdict on two models on the same items.

    Args:
        names: of the models.
        scores: of each.
        found: the fields of `statistics.Comparison`, the first minus the second.
        split: that of the items, dev or test.

    Example:
        >>> found = {"difference": 0.1, "interval": [0.02, 0.18], "p_value": 0.014, "n": 90, "gained": 15, "lost": 6}
        >>> print(between(("the base", "x"), (0.7, 0.6), found, "test").sentence)
        The base is better than x, by 0.100 (95% interval 0.020 to 0.180) on 90 test items: 0.700 against 0.600.
    """
    ours, theirs = names
    low, high = found["interval"]
    paired = Difference(found["difference"], low, high, found["p_value"], found["n"])
    items, seen = counted(paired.items, f"{split} item"), f"{scores[0]:.3f} against {scores[1]:.3f}"
    reasons: tuple[str, ...] = ()
    if split == "dev":
        reasons = ("Dev items guide searches and training: compare on test, too.",)
    if not (found["gained"] or found["lost"]):
        alike = f"No difference between {ours} and {theirs}: the same score on each of {items} ({scores[0]:.3f})."
        return Verdict("same", alike, reasons)
    if paired.sign:
        kind = "better" if paired.sign > 0 else "worse"
        first = ours[0].upper() + ours[1:] if ours.startswith("the ") else ours
        by = f"by {abs(paired.mean):.3f} ({paired.interval()}) on {items}"
        return Verdict(kind, f"{first} is {kind} than {theirs}, {by}: {seen}.", reasons)
    few = _needed({"paired": {"": {"test": {**found, "difference": abs(paired.mean)}}}}, None)
    reasons += (few,) if few is not None and split == "test" else ()
    where = f"on {items}: {seen}, {paired.mean:+.3f} ({paired.interval(signed=True)})"
    return Verdict("level", f"No measurable difference between {ours} and {theirs}, {where}.", reasons)


def compared(result: Json) -> str:
    """The verdict on a comparison: which method is first, and whether it is better than the best single expert.

    Its p-value is multiplied by the number of methods (Bonferroni), as the first is the best of them on these items.

    Args:
        result: ``compare.json``.

    Example:
        >>> rows = {"ties": {"test": 0.7, "dev": 0.8, "against_single": {"method": "best-single", "p": 0.001,
        ...     "difference": 0.1}}, "best-single": {"test": 0.6, "dev": 0.7}}
        >>> compared({"methods": rows})
        'ties is first, and better than the best single expert: 0.700 against 0.600 (p = 0.001, corrected for 1 rival).'
    """
    methods = result["methods"]
    split = "test" if all(row["test"] is not None for row in methods.values()) else "dev"
    if not methods or SINGLE not in methods:
        return "No verdict: the comparison has no row for the best single expert."
    first = max(methods, key=lambda name: methods[name][split])
    if first == SINGLE:
        return f"No method scores higher than the best single expert: {methods[SINGLE][split]:.3f} on {split}."
    scores = f"{methods[first][split]:.3f} against {methods[SINGLE][split]:.3f}"
    if "tasks" in result:
        return _over_tasks(result, first, scores)
    rivals = len(methods) - 1
    p_value = min(1.0, methods[first]["against_single"]["p"] * rivals)
    p = f"p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}, corrected for {counted(rivals, 'rival')}"
    if p_value < LEVEL and split == "test":
        return f"{first} is first, and better than the best single expert: {scores} ({p})."
    unseen = "" if split == "test" else "; there is no test split"
    return f"{first} is first, but not measurably better than the best single expert: {scores} ({p}){unseen}."


def _over_tasks(result: Json, first: str, scores: str) -> str:
    row, tasks = result["methods"][first], len(result["tasks"])
    gain = "" if row.get("gain") is None else f" ({row['gain']:+.1%} in the mean)"
    return (
        f"{first} is first on average over {counted(tasks, 'task')}: {scores} for the best single expert{gain}; it is "
        f"first on {row['wins']} of them."
    )
