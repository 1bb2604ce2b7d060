"""The words of a report: what came out in two sentences, why it ended, and how to use the result."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pyswarmopt_cli.words import counted
from pyswarmopt_llm.reporting.table import verdict
from pyswarmopt_llm.reporting.terminal.live import duration
from pyswarmopt_llm.spaces import space_kind

_STOPS = {
    "max_iter": "after {:g} iterations",
    "patience": "after {:g} iterations without a new best",
    "max_evals": "after {:g} evaluations",
    "budget_items": "with {:g} items asked, before the budget would have been overrun",
    "budget_minutes": "after {:g} minutes of evaluations, before the budget would have been overrun",
}


def summary(result: Mapping[str, Any]) -> list[str]:
    """Two sentences: the comparison on held-out items as far as it holds, and what to think of the dev score.

    Example:
        >>> found = {"difference": 0.1, "interval": [0.02, 0.18], "p_value": 0.014, "n": 90}
        >>> for sentence in summary({"best_dev": 0.8, "best_single_dev": 0.6, "best_test": 0.7, "best_single_test": 0.6,
        ...                          "best_single": "x", "evaluations": 40, "seconds": 90,
        ...                          "paired": {"t": {"test": found}}}):
        ...     print(sentence)
        The swarm is better than the best single expert, x: 0.700 against 0.600 on 90 held-out test items, a difference
        of +0.100 [+0.020, +0.180].
        It took 40 evaluations and 1:30; its dev score, 0.800, chose it among all of them, so quote the test score.
    """
    cost = f"{counted(result['evaluations'], 'evaluation')} and {duration(result['seconds'])}"
    chose = f"It took {cost}; its dev score, {result['best_dev']:.3f}, chose it among all of them, so"
    ours, theirs = result.get("best_test"), result.get("best_single_test")
    if ours is None or theirs is None:
        text = f"{verdict(result)} The best single expert is {result['best_single']}."
        return [text, f"{chose} expect less on new items."]
    tests = [splits["test"] for splits in result.get("paired", {}).values() if "test" in splits]
    against = f"{ours:.3f} against {theirs:.3f}"
    single = f"the best single expert, {result['best_single']}"
    if len(tests) != 1:
        first = f"On held-out test items the swarm has {against} of {single} ({ours - theirs:+.3f}){_overlap(result)}."
    else:
        (found,) = tests
        low, high = found["interval"]
        kind = "is better than" if low > 0 else "is worse than" if high < 0 else "cannot be told from"
        first = (
            f"The swarm {kind} {single}: {against} on {found['n']} held-out test items, "
            f"a difference of {found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]."
        )
    return [first, f"{chose} quote the test score."]


def stop_text(result: Mapping[str, Any]) -> str:
    """Why the search ended.

    Example:
        >>> stop_text({"stop": {"patience": 10}}), stop_text({"stop": {"tolfun": 1.0}})
        ('after 10 iterations without a new best', 'tolfun 1.0')
    """
    stop = result["stop"].items()
    reasons = [_STOPS[name].format(value) if name in _STOPS else f"{name} {value}" for name, value in stop]
    return ", ".join(reasons) or "for no reason of its own"


def usage(config: Mapping[str, Any], base: str) -> list[tuple[str, str]]:
    """How to use what was found: (what for, code to copy).

    Args:
        config: the run's configuration.
        base: the base's public name.
    """
    folder, library = f"{config['out'].rstrip('/')}/best", space_kind(config.get("space", "factor")).library
    run = shlex.quote(config["out"])
    found = [("Ask it something", f'swarm-llm generate --run {run} "Which planet is the largest?"')]
    imports = "from transformers import AutoModelForCausalLM, AutoTokenizer"
    if library == "transformers":
        code = [imports, "", f"model = AutoModelForCausalLM.from_pretrained({folder!r})"]
        found.insert(0, ("Load it with transformers", "\n".join([*code, f"tokenizer = {_tokenizer(folder)}"])))
    elif library == "peft":
        code = ["from peft import PeftModel", imports, "", f"base = AutoModelForCausalLM.from_pretrained({base!r})"]
        code += [f"tokenizer = {_tokenizer(base)}", f"model = PeftModel.from_pretrained(base, {folder!r})"]
        found.insert(0, ("Load it with peft", "\n".join(code)))
    for task in config["tasks"][:1]:
        model = ["--base", config["base"], "--adapter", folder] if library == "peft" else ["--base", folder]
        words = ["swarm-llm", "eval", *model, "--task", task, "--split", "test"]
        found.append(("Score it again", shlex.join(words)))
    return found


def _overlap(result: Mapping[str, Any]) -> str:
    """Whether the intervals on test overlap, where there are intervals."""
    a, b = (result.get("intervals", {}).get(f"{who}_test") for who in ("best", "best_single"))
    if a is None or b is None:
        return ""
    return f"; the 95% intervals {'overlap' if a[0] <= b[1] and b[0] <= a[1] else 'do not overlap'}"


def _tokenizer(name: str) -> str:
    return f"AutoTokenizer.from_pretrained({name!r})"


__all__ = ["stop_text", "summary", "usage"]
