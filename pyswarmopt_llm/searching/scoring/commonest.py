"""The majority-class baseline: every question gets the label most frequent on dev.

Where labels are unbalanced its accuracy may be high, though it knows nothing; a result has to be
compared with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.scoring.combined import combined_interval
from pyswarmopt_llm.searching.scoring.record import pack
from pyswarmopt_llm.searching.scoring.result import Model, Outcome, Scores


def commonest_label(
    tasks: Mapping[str, Task], combine: Combine, splits: Collection[str], experts: Sequence[str]
) -> Model | None:
    """The baseline's scores, by accuracy; None if a task's questions do not share their choices.

    Args:
        tasks: tasks of a search.
        combine: combination of the tasks' scores.
        splits: splits to score, ``dev`` among them.
        experts: names of the experts, whose weights are all 0.
    """
    forms = map(form_of, tasks.values())
    if not tasks or not all(form.choices for form in forms):
        return None
    labels = {name: most_frequent(task.dev) for name, task in tasks.items()}
    scores = {split: _scores(tasks, labels, split, combine) for split in splits}
    return Model(dict.fromkeys(experts, 0.0), scores["dev"], scores.get("test"))


def most_frequent(items: Sequence[Item]) -> str:
    """The most frequent right answer; of equally frequent ones the first alphabetically.

    Example:
        >>> most_frequent([Item(str(k), "?", {"A": "x", "B": "y"}, letter) for k, letter in enumerate("BAB")])
        'B'
    """
    counts = Counter(item.answer for item in items)
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _score(items: Sequence[Item], label: str) -> Score:
    return score_of([float(item.answer == label) for item in items])


def _scores(
    tasks: Mapping[str, Task], labels: Mapping[str, str], split: str, combine: Combine
) -> Scores:
    scores = {name: _score(task.split(split), labels[name]) for name, task in tasks.items()}
    asked = {name: repeated(task.split(split)) for name, task in tasks.items()}
    total = combine(list(scores.values()))
    outcomes = {name: Outcome(score.value, pack(score.per_item)) for name, score in scores.items()}
    return Scores(total.value, outcomes, combined_interval(scores, combine, questions=asked))
