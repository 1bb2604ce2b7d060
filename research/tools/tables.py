"""The tables of README and docs that have outcomes, written from research/evidence: python
research/tools/tables.py

A page says where: what stands between `<!-- table: NAME -->` and `<!-- end -->` is replaced by
`TABLES[NAME]()`. With --check nothing is written, and a page that differs from its evidence is an
error.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from textwrap import wrap

import cluster_tables
import few_tables
import front_tables
import numpy as np
import quantised_tables
import regime_tables
import several_tables
import studies_tables
import trial_tables
import written_tables
from bbob_table import second_suites, summary
from outcomes import CHOSEN_ON, HELD_OUT, Outcomes, markdown, outcomes, p_value, points
from written_tables import written_answers, written_short

from pyswarmopt_llm.common.paired import compare_paired, paired_test
from pyswarmopt_llm.report.findings import answer

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "research" / "evidence"
MARK = re.compile(
    r"(?P<begin><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", flags=re.DOTALL
)
SEARCH, MIXTURE = "item-model+dev", "item-model"
BEST, BASE, EXPERT = "best-single", "finetune-once", "finetune-best-once"
LABELS = {
    BEST: "best adapter",
    BASE: "fine-tuned base model",
    EXPERT: "fine-tuned best adapter",
    MIXTURE: "search, before training",
    SEARCH: "search (default)",
}
FIVE = ("intent", "banking", "science", "completion", "commonsense")
FOUR = FIVE[:4]
FIRST = "trained first, then searched"  # the default until 22 November 2026


def by_task(read: Outcomes, tasks: Sequence[str], columns: dict[str, str]) -> list[list[str]]:
    """A row per task of accuracies, the highest in bold; empty where a method has no outcomes."""
    rows = []
    for task in tasks:
        values = [
            read.accuracy(name, task) if (name, task) in read.scores else None for name in columns
        ]
        best = max(value for value in values if value is not None)
        rows.append([task, *(_cell(value, best) for value in values)])
    return rows


def _cell(value: float | None, best: float | None = None) -> str:
    if value is None:
        return ""
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


def means(read: Outcomes, name: str, tasks: Sequence[str], columns: Iterable[str]) -> list[str]:
    """A row of means over tasks."""
    return [name, *(f"{read.mean(column, tasks):.3f}" for column in columns)]


# The present default on six real tasks


def does_it_help() -> str:
    """README's table: the best adapter, the strongest control that was run, and the search."""
    real = "four real tasks, 200 labels"
    style = "style guide, checked by a program"
    ours, without = "trained", "default"
    embedded = written_tables.EMBEDDED
    rows = [
        [real, *_beside(outcomes("present"), HELD_OUT, SEARCH, MIXTURE, LABELS)],
        [
            "demo, 100 labels, three seeds",
            *_beside(outcomes("demo"), ("five-desks",), SEARCH, MIXTURE, LABELS),
        ],
        ["synthetic, 200 labels, three base models", *trial_tables.beside_strongest("choices")],
        [
            "synthetic, free-form answers, three base models",
            *trial_tables.beside_strongest("written"),
        ],
        [style, *_beside(outcomes("house-style"), ("house-style",), ours, without, embedded)],
        [
            "orders to JSON, one adapter per field",
            *_beside(outcomes("structured-fields"), ("orders",), ours, without, embedded),
        ],
    ]
    head = ["test score", "best adapter", "best baseline", "search", "search - baseline (points)"]
    return markdown(head, rows)


NOTES = "../../research/notes"  # from docs/how-to


def worth_it() -> str:
    """From what one has to one command: the table of docs/how-to/worth-it.md."""
    head = "| you have | do this | measured, search minus the best alternative, in points |"
    rows = [head, "|---|---|---|"]
    rows += [f"| {' | '.join(row)} |" for row in (*_by_labels(), *_by_scores(), *_by_file())]
    return "\n".join(rows)


def _by_labels() -> Iterator[tuple[str, str, str]]:
    """Rows on labels."""
    few = few_tables.cells()[few_tables.SMALL, "desks", 32]
    lead = few_tables.lead(few, few_tables.best_control(few))
    told = f"{lead} with 32 labels on the demo's task ([few labels]({NOTES}/few-labels.md))"
    yield "24 to 100 labels; adapters that know different parts of the task", "`search`", told
    fewer = few_tables.cells()[few_tables.SMALL, "desks", 16]
    lead = few_tables.difference(fewer["item-model"], fewer["lorahub"])
    told = (
        f"nothing is trained; {lead} beside LoraHub with 16 ([few labels]({NOTES}/few-labels.md))"
    )
    yield "fewer than 24 labels", "`search`; label more if you can", told
    real = points(outcomes("present"), SEARCH, EXPERT, HELD_OUT)
    told = f"{real} on four real tasks, 200 labels ([results](../explanation/results.md))"
    yield "labels, and an adapter made for the task", "`search --quick`", told
    demo = points(outcomes("demo"), SEARCH, EXPERT, ("five-desks",))
    told = f"{demo} on the demo's task, 100 labels ([demo]({NOTES}/demo.md))"
    yield "more than 100 labels", "`search --quick`", told
    union = trial_tables.beside_strongest("choices")[-1]
    told = f"{union} beside one adapter trained on all data, synthetic ([trial]({NOTES}/trial.md))"
    yield "the adapters' training data", "`train-expert` on all of it", told


def _by_scores() -> Iterator[tuple[str, str, str]]:
    """Rows on scores without labels."""
    forms = outcomes("structured-fields")
    never = points(forms, "trained", "expert-iteration-best-single", ("visits", "loans"))
    where = f"[written answers]({NOTES}/written-answers.md)"
    told = f"{never} beside the best adapter, trained on its own replies ({where})"
    yield "a program or metric; the base model scores near 0", "`search --metric`", told
    style = points(outcomes("house-style"), "trained", "expert-iteration-base", ("house-style",))
    told = f"{style} beside the base model, trained on its own replies ({where})"
    yield "a program or metric; the base model sometimes succeeds", "`search --metric`", told
    told = f"the rating rises while facts fall ([rewards]({NOTES}/rewards.md)); read the replies"
    yield "a judge or a reward model", "`search --metric`", told


def _by_file() -> Iterator[tuple[str, str, str]]:
    """Rows on what is made, and on what a search cannot do."""
    yield (
        "two scores, such as correct and short",
        "`search --front`",
        f"hypervolume {front_tables.beside_sums()} beside five weighted sums, synthetic ([fronts]({NOTES}/fronts.md))",
    )
    told = f"{quantised_tables.won_back()} ([quantised]({NOTES}/quantised.md))"
    yield "a file of four bits to ship", "`search --quantize q4_1`", told
    where = f"[mixtures of predictions]({NOTES}/mixtures-of-predictions.md)"
    told = f"{regime_tables.beside_best_member()} beside the best of three real models ({where})"
    yield "models of different architectures", "`search --space token`", told
    yield "no adapter that knows the task", "`train-expert`", "a mixture adds no knowledge"


# had more prompts, or are the search's own
_OWN = ("expert-iteration-spare", "expert-iteration-taught", "mixture-trained", "four-rounds")


def _beside(
    read: Outcomes, tasks: Sequence[str], ours: str, untrained: str, labels: dict[str, str]
) -> list[str]:
    """The cells of a row: best adapter, the best of all other methods with outcomes, ours."""
    own = {ours, untrained, written_tables.SPARE, "expert-iteration-base-4", *_OWN}
    means = {
        method: read.mean(method, tasks)
        for method in read.methods()
        if method not in own and all((method, task) in read.scores for task in tasks)
    }
    rival = max(means, key=lambda method: means[method])
    return [
        f"{read.mean(BEST, tasks):.3f}",
        f"{means[rival]:.3f}, {labels[rival].partition(', as many')[0]}",
        f"{read.mean(ours, tasks):.3f}",
        points(read, ours, rival, tasks),
    ]


def demo_verdict() -> str:
    """The sentence with which the demo's search of seed 0 ends, by the program's own words.

    Of its tests this one has the largest p, so that Holm's correction leaves it as it is.
    """
    read = outcomes("demo")
    first = {name: read.scores[name, "five-desks"][0].tolist() for name in (SEARCH, BASE, EXPERT)}
    plain = max((BASE, EXPERT), key=lambda name: sum(first[name]))
    pair = compare_paired(first[SEARCH], first[plain])
    called = {BASE: "the fine-tuned base model", EXPERT: "the fine-tuned best expert clinic"}
    kind = {1: "better", 0: "level", -1: "worse"}[pair.sign]
    ours, theirs = (fmean(first[name]) for name in (SEARCH, plain))
    lines = wrap(answer(kind, "the fine-tuned mixture", ours, called[plain], theirs), 96)
    return "\n".join(["```text", *lines, "```"])


def real_tasks() -> str:
    """The six tasks one by one, and how many answers of search and fine-tuned expert differ."""
    read = outcomes("present")
    columns = {name: LABELS[name] for name in (BEST, MIXTURE, BASE, EXPERT, SEARCH)}
    rows = []
    for tasks, name in ((HELD_OUT, "mean of these four"), (CHOSEN_ON, "mean of these two")):
        for row in by_task(read, tasks, columns):
            rows.append([*row, str(read.differ(SEARCH, EXPERT, row[0]))])
        rows.append([*means(read, name, tasks, columns), ""])
    return markdown(
        ["500 test examples", *columns.values(), "answers where the last two differ"], rows
    )


def differences() -> str:
    """The search minus everything else, in points."""
    read, six = outcomes("present"), (*HELD_OUT, *CHOSEN_ON)
    rows = [
        [LABELS[other], points(read, SEARCH, other, HELD_OUT), points(read, SEARCH, other, six)]
        for other in (BEST, MIXTURE, BASE, EXPERT)
    ]
    return markdown(["search minus", "four held-out tasks", "all six"], rows)


# Fifty examples


# Coefficients alone, under one budget


SHORT_BUDGET = (
    ("swarm, then item model", "search without training"),
    ("natural-niches", "natural niches (M2N2)"),
    ("greedy-soup", "greedy soup"),
    ("pycma", "CMA-ES"),
    ("nevergrad:RandomSearch", "random search"),
    (BEST, "best adapter"),
    ("ties", "TIES"),
    ("lorahub", "LoraHub"),
    ("uniform-soup", "uniform average"),
)


def budget_short() -> str:
    """The methods that a reader of docs/explanation/results.md asks for: mean over the four tasks, and gain."""
    read = outcomes("paper-table")
    rows = []
    for method, label in SHORT_BUDGET:
        low, high = read.interval(method, FOUR)
        gains = [read.accuracy(method, task) / read.accuracy(BEST, task) - 1 for task in FOUR]
        mean = f"{read.mean(method, FOUR):.3f} [{low:.3f}, {high:.3f}]"
        rows.append([label, mean, f"{100 * sum(gains) / len(FOUR):+.1f}%"])
    return markdown(["four tasks", "mean [95% interval]", "gain"], rows)


# The demo


def demo() -> str:
    """The demo's questions of three seeds, and what the mixture gains over the best of what needs
    no search.
    """
    read, task = outcomes("demo"), "five-desks"
    rows = []
    for method, label in DEMO.items():
        accuracies = read.scores[method, task].mean(1)
        rows.append([label, *(f"{value:.3f}" for value in accuracies), f"{accuracies.mean():.3f}"])
    cells, differences = [], []
    for seed, mixture in enumerate(read.scores[MIXTURE, task]):
        best = max(
            (read.scores[method, task][seed] for method in ("uniform", BEST, "sum")),
            key=lambda row: float(row.mean()),
        )
        differences.append(mixture - best)
        cells.append(
            f"{100 * differences[-1].mean():+.1f}, {p_value(paired_test(differences[-1]).p_value)}"
        )
    together = np.concatenate(differences)
    total = f"{100 * together.mean():+.1f}, {p_value(paired_test(together).p_value)}"
    rows.append(["before training, minus the best of the first three, in points", *cells, total])
    return markdown(["200 test examples", "seed 0", "seed 1", "seed 2", "mean"], rows)


DEMO = {
    "uniform": "uniform average",
    BEST: LABELS[BEST],
    "sum": "sum of all eleven",
    "base": "base",
    BASE: LABELS[BASE],
    EXPERT: LABELS[EXPERT],
    MIXTURE: LABELS[MIXTURE],
    SEARCH: LABELS[SEARCH],
}


def regret(table: str) -> str:
    """What a search hands over beside what it trained: a table of benchmarks/regret.py by its name."""
    sys.path.insert(0, str(ROOT / "research" / "benchmarks"))
    import regret as benchmark

    return "\n".join(getattr(benchmark, table)(benchmark.read(EVIDENCE / "regret.jsonl")))


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "demo-verdict": demo_verdict,
    "does-it-help": does_it_help,
    "worth-it": worth_it,
    "real-tasks": real_tasks,
    "differences": differences,
    "budget-short": budget_short,
    "regret": lambda: regret("table"),
    "regret-rules": lambda: regret("rules_table"),
    "written": written_answers,
    "written-short": written_short,
    "parts": studies_tables.parts,
    "ablations": studies_tables.ablations,
    "quantised": quantised_tables.quantised,
    "quantised-served": quantised_tables.served,
    "quantised-forecast": quantised_tables.forecast,
    "quantised-shipped": quantised_tables.shipped,
    "twelve": trial_tables.twelve,
    "twelve-written": lambda: trial_tables.twelve("twelve-written"),
    "several": several_tables.several,
    "bbob": summary,
    "second-suites": second_suites,
    **trial_tables.TABLES,
    **cluster_tables.TABLES,
    **few_tables.TABLES,
    **front_tables.TABLES,
    **regime_tables.TABLES,
}


@cache
def table(name: str) -> str:
    """`TABLES[name]()`, made once."""
    return TABLES[name]()


def pages() -> list[Path]:
    """Where tables may stand."""
    notes = (ROOT / "research" / "notes").glob("*.md")
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(notes)]


def written(text: str) -> str:
    """A page with its tables made anew; one whose writer is git's stays as it is."""

    def made(match: re.Match[str]) -> str:
        if match["name"] not in TABLES:
            return match[0]
        return f"{match['begin']}{table(match['name'])}\n{match['end']}"

    return MARK.sub(made, text)


def main() -> int:
    """Write the pages, or with --check name those that differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a page differs"
    )
    check = parser.parse_args().check
    stale = []
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = written(before)
        if after == before:
            continue
        stale.append(page.relative_to(ROOT))
        if not check:
            page.write_text(after, encoding="utf-8")
    print("\n".join(f"{'differs' if check else 'written'}: {page}" for page in stale))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
