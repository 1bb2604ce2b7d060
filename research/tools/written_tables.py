"""The tables of written answers: every method of research/evidence/written*.jsonl has a row."""

from __future__ import annotations

from collections.abc import Sequence

from outcomes import RESEARCH, Outcomes, markdown, outcomes, points

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
    "best-single": "best adapter",
    "paper": "Model Swarms as published, about 390 evaluations",
    "lorahub": "LoraHub",
    "natural-niches": "natural niches (M2N2)",
    "random": "random search",
    "pycma": "CMA-ES",
    "grpo-best": "GRPO from the best adapter",
    "expert-iteration-best-single": "expert iteration from the best adapter",
    MIXTURE: "search, before training",
    DEFAULT: "search (default)",
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
    return markdown(["three held-out tasks", "mean exact match", "search - method (points)"], rows)


# The same methods where a model that people use has other numbers of replies.
EMBEDDED = {
    "expert-iteration-base": "expert iteration from the base model",
    "expert-iteration-base-4": "expert iteration from the base model, four rounds at most",
    "expert-iteration-best-single": "expert iteration from the best adapter, as many replies",
    "base_tuned": "the base, trained on its own replies",
    "mixture-trained": "the mixture, trained for four rounds",
    "four-rounds": "the search, four rounds at most",
    "default": "the search, before training",
    "trained": "the search (default)",
}


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
