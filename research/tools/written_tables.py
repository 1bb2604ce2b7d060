"""The tables of written answers: every method of research/evidence/written*.jsonl has a row."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from outcomes import RESEARCH, Outcomes, lines, markdown, outcomes, points

CHOSEN_ON, HELD_OUT = ("t1", "t2", "t3"), ("t4", "t5", "t6")
MIXTURE, DEFAULT, SPARE = "mixture", "default", "spare"
# Method -> its row, in the order of the rows; a method that is not here follows under its own name.
LABELS = {
    "base": "base",
    "best-single": "best single expert",
    "base-majority-8": "base, majority of 8 sampled replies",
    "best-majority-8": "best single expert, majority of 8 sampled replies",
    "uniform": "uniform average",
    "sum": "sum of all experts",
    "model-swarms": "Model Swarms, 40 evaluations",
    "swarm": "the same on weight changes (`delta`)",
    "paper": "Model Swarms as published",
    "lorahub": "LoraHub",
    "natural-niches": "natural niches (M2N2)",
    "random": "random search",
    "pycma": "CMA-ES",
    "es-base": "evolution strategies, from the base",
    "es-low-rank-base": "the same with noise of rank 1",
    "es-best": "evolution strategies, from the best expert",
    "es-low-rank-best": "the same with noise of rank 1",
    "es-base-10x": "evolution strategies, from the base, 40,000 replies",
    "es-best-10x": "evolution strategies, from the best expert, 40,000 replies",
    "grpo-base": "GRPO, from the base",
    "grpo-best": "GRPO, from the best expert",
    "grpo-base-10x": "GRPO, from the base, 40,000 replies",
    "grpo-best-10x": "GRPO, from the best expert, 40,000 replies",
    "expert-iteration-base": "expert iteration, from the base, 7,800 replies",
    "expert-iteration-best-single": "expert iteration, from the best expert, 7,800 replies",
    "expert-iteration-spare": "the same with 400 further prompts, 9,400 replies",
    "expert-iteration-taught": "the same, taught by other experts",
    MIXTURE: "the search, before training",
    SPARE: "the search with 400 further prompts, at most 9,400 replies",
    DEFAULT: "the search (default), at most 7,800 replies",
}


def written_answers() -> str:
    """A row per method, a column per task, means over seeds."""
    read, tasks = _outcomes(), (*CHOSEN_ON, *HELD_OUT)
    rows = []
    for method, label in _rows(read).items():
        cells = [
            f"{read.accuracy(method, task):.3f}" if _has(read, method, [task]) else "not run"
            for task in tasks
        ]
        mean = f"{read.mean(method, HELD_OUT):.3f}" if _has(read, method, HELD_OUT) else "not run"
        rows.append([label, *cells, mean])
    return markdown(["500 test examples", *tasks, "mean of t4 to t6"], rows)


# The rows that a reader of docs/explanation/results.md needs, and what they are called there.
SHORT = {
    "best-single": "best expert",
    "paper": "Model Swarms as published, some 390 evaluations",
    "lorahub": "LoraHub",
    "natural-niches": "natural niches (M2N2)",
    "random": "random search",
    "pycma": "CMA-ES",
    "grpo-best": "GRPO, from the best expert",
    "expert-iteration-best-single": "expert iteration, from the best expert",
    MIXTURE: "the search, before training",
    DEFAULT: "the search (default)",
}


def written_short() -> str:
    """The best expert, the baselines that a reader asks for, and the search minus each of them."""
    read = _outcomes()
    rows = [
        [
            label,
            f"{read.mean(method, HELD_OUT):.3f}",
            "" if method == DEFAULT else points(read, DEFAULT, method, HELD_OUT),
        ]
        for method, label in SHORT.items()
    ]
    return markdown(["exact match, three held-out tasks", "mean", "the search minus, points"], rows)


def written_differences() -> str:
    """The search before and after training minus everything else, in points, on tasks that nothing
    was chosen on.
    """
    read = _outcomes()
    labels = _rows(read)
    *_, last = labels
    names = {MIXTURE: "the search before training", DEFAULT: "the search"}
    if last == SPARE:
        names[SPARE] = "it with 400 further prompts"
    rows = []
    for method, label in labels.items():
        cells = []
        for search in names:
            there = _has(read, method, HELD_OUT) and _has(read, search, HELD_OUT)
            cells.append(
                points(read, search, method, HELD_OUT) if there and search != method else ""
            )
        if method != last:
            rows.append([label, *cells])
    return markdown(["t4 to t6", *(f"{name} minus" for name in names.values())], rows)


# The same methods where a model that people use has other numbers of replies.
EMBEDDED = {
    "expert-iteration-base": "expert iteration, from the base",
    "expert-iteration-base-4": "expert iteration, from the base, four rounds at most",
    "expert-iteration-best-single": "expert iteration, from the best expert, as many replies",
    "base_tuned": "the base, trained on its own replies",
    "mixture-trained": "the mixture, trained for four rounds",
    "four-rounds": "the search, four rounds at most",
    "default": "the search, before training",
    "trained": "the search (default)",
}


def house_style() -> str:
    """The style guide."""
    return _embedded("share of the rules kept", "house-style")


def structured() -> str:
    """Structured answers."""
    return _embedded("validity and F1 of the fields, mean", "structured")


def structured_fields() -> str:
    """Structured answers by an expert for each field."""
    return _embedded("validity and F1 of the fields, mean", "structured-fields", "orders")


FIELDS = ("trips", "visits", "loans")


def structured_fields_elsewhere() -> str:
    """The same on the other tasks with an expert for each field, and the search minus each row."""
    read = outcomes("structured-fields")
    tasks = [task for task in FIELDS if ("trained", task) in read.scores]
    methods = {"base": "base", "uniform": "uniform average", "best-single": "best single expert"}
    methods |= {
        method: label for method, label in EMBEDDED.items() if (method, tasks[0]) in read.scores
    }
    rows = []
    for method, label in methods.items():
        cells = []
        for task in tasks:
            score = f"{read.accuracy(method, task):.3f}"
            minus = points(read, "trained", method, [task])
            cells.append(score if method == "trained" else f"{score}, {minus}")
        rows.append([label, *cells])
    return markdown(["150 test prompts; the search minus", *tasks], rows)


STARTS = ("orders", "trips", "style", "continuations", "visits", "loans")


def starts() -> str:
    """A row per task: what is trained on the mixture's replies and on the base's, on test with dev in
    brackets, and what the better one on dev gains.
    """
    read = outcomes("starts")
    dev = {(line["task"], line["method"]): line["dev"] for line in lines("starts")}
    rows = []
    for task in STARTS:
        mixture, base = "start-8", "base-8"
        cells = [f"{read.accuracy(name, task):.3f}" for name in ("base", "best-single", "mixture")]
        for name in (mixture, base):
            cells.append(f"{read.accuracy(name, task):.3f} ({dev[task, name]:.3f})")
        ahead = dev[task, base] > dev[task, mixture]
        rows.append([task, *cells, points(read, base, mixture, [task]) if ahead else "0"])
    head = ["base", "best expert", "mixture", "mixture, trained (dev)", "base, trained (dev)"]
    return markdown(["150 or 300 test prompts", *head, "gain of what dev prefers"], rows)


def continuations() -> str:
    """Continuations that are judged for profanity."""
    return _embedded("1 less the chance of profanity", "continuations")


def abstention() -> str:
    """Requests, where a wrong answer costs as much as a right one brings."""
    return _embedded("right 1, wrong -1, none 0", "abstention", "intent")


def _embedded(score: str, name: str, task: str = "") -> str:
    """A row per method on the model that people use: the score, its interval, and how far the
    result is ahead.

    Args:
        score: in words.
        name: of the outcomes.
        task: among them; "" if it has their name.
    """
    read, task = outcomes(name), task or name
    tasks = (task,)
    methods = read.methods(task)
    result = "trained" if "trained" in methods else "default"
    labels = {**LABELS, **EMBEDDED}
    rows = []
    for method in sorted(methods, key=lambda name: read.mean(name, tasks)):
        low, high = read.interval(method, tasks)
        ahead = "" if method == result else points(read, result, method, tasks)
        rows.append(
            [labels[method], f"{read.mean(method, tasks):.3f} [{low:.3f}, {high:.3f}]", ahead]
        )
    prompts = read.scores[result, task].shape[1]
    return markdown([f"{prompts} test prompts", score, "the search minus"], rows)


def judge() -> str:
    """A row per task: what a reward model is worth as a judge, and what a search by it gains and
    really gains.
    """
    rows, held_out = [], []
    for line in lines("judge"):
        models = [line[name] for name in ("base", "best-single", "result")]
        rewards = [f"{model['reward']:.1f}" for model in models]
        truths = [f"{model['test'].count('1') / len(model['test']):.3f}" for model in models]
        rows.append(
            [line["task"], f"{line['pairs']:.2f}", f"{line['rank']:.2f}", *rewards, *truths]
        )
        if line["task"] in HELD_OUT:
            held_out.append([fmean(map(int, model["test"])) for model in models])
    means = [f"{fmean(column):.3f}" for column in zip(*held_out, strict=True)]
    rows.append([f"mean of {HELD_OUT[0]} to {HELD_OUT[-1]}", *[""] * 5, *means])
    heading = ["500 test examples", "held-out pairs in order", "rank correlation"]
    heading += ["reward: base", "best expert by it", "result"]
    return markdown([*heading, "truth: base", "best expert by reward", "result"], rows)


def _outcomes() -> Outcomes:
    return outcomes(*sorted(path.stem for path in (RESEARCH / "evidence").glob("written*.jsonl")))


def _rows(read: Outcomes) -> dict[str, str]:
    """Method -> label, of those that there are outcomes of, the default and it with spare prompts last."""
    methods = read.methods()
    rows = {method: label for method, label in LABELS.items() if method in methods}
    rows |= {method: method for method in methods if method not in rows}
    last = {name: rows.pop(name) for name in (DEFAULT, SPARE) if name in rows}
    return {**rows, **last}


def _has(read: Outcomes, method: str, tasks: Sequence[str]) -> bool:
    return all((method, task) in read.scores for task in tasks)
