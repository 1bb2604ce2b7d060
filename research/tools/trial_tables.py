"""The table of the swarm's trial, from research/evidence/trial.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import pandas as pd
from outcomes import lines, markdown
from scipy import stats

from pyswarmopt_llm.common.paired import compare_paired

BEST = "best expert"
TASKS = 6
ALL = (0, 1, 2)  # builds
MOVES = (0, 3, 4, 5)  # builds with other moves in the experts' hull
LIKELY = (3, 4)  # builds with scores by likelihood
HULL = (  # rows in the experts' hull, and the default
    BEST,
    "swarm delta segments",
    "random delta segments sum-1",
    "cma-es delta segments sum-1",
    "default without training",
    "default",
)
FIRST = (  # rows of the first build
    BEST,
    "scale",
    "swarm delta segments",
    "random delta segments",
    "cma-es delta segments",
)
LABELS = {
    BEST: "best expert on dev",
    "uniform": "uniform average",
    "scale": "scale: best expert or average, times one number",
    "swarm factor segments": "Model Swarms, `factor`, `segments`",
    "swarm factor sums": "Model Swarms, `factor`, `sums`",
    "swarm delta segments": "Model Swarms, `delta`, `segments`",
    "swarm delta segments ten-draws": "Model Swarms, `delta`, `segments`, the best of ten draws",
    "swarm delta sums": "Model Swarms, `delta`, `sums`",
    "random delta segments": "random search, `delta`, from the experts",
    "random delta segments sum-1": "random search, `delta`, from the experts, sum 1",
    "random delta sums": "random search, `delta`, sums",
    "covariant delta segments": "`covariant`, `delta`, segments",
    "covariant delta sums": "`covariant`, `delta`, sums",
    "surrogate delta segments": "`surrogate`, `delta`, segments",
    "surrogate delta sums": "`surrogate`, `delta`, sums",
    "cma-es factor segments": "CMA-ES, `factor`, segments",
    "cma-es factor sums": "CMA-ES, `factor`, sums",
    "cma-es delta segments": "CMA-ES, `delta`, from the experts",
    "cma-es delta segments sum-1": "CMA-ES, `delta`, from the experts, sum 1",
    "cma-es delta segments, 260 evaluations": "CMA-ES, `delta`, from the experts, so far",
    "cma-es delta sums": "CMA-ES, `delta`, sums",
    "greedy-soup": "greedy soup",
    "lorahub": "LoraHub",
    "natural-niches": "natural niches",
    "data-merge": "data merge (one adapter trained on all data)",
    "default, untrained": "default search, before training",
    "default without training": "default search, `--train off`",
    "score model": "default search, surrogate of the scores",
    "item model": "the item model of the default, as many evaluations as the swarm",
    "default": "default search",
}
Job = tuple[int, str]  # build and task
Scores = Mapping[str, Mapping[Job, Mapping[str, float]]]


def read(form: str) -> Scores:
    """Row -> build and task -> its means on dev and test, and what it took."""
    found: dict[str, dict[Job, dict[str, float]]] = {}
    for line in lines("trial"):
        if line["form"] == form:
            means = {"dev": line["dev"], "test": share(line["test"])}
            if "evaluations" in line:
                means["evaluations"] = line["evaluations"]
            found.setdefault(line["row"], {})[line["build"], line["task"]] = means
    return found


def share(values: str | Sequence[float]) -> float:
    """The share of right answers, or the mean of other values.

    Example:
        >>> share("1101"), share([0.5, 1.0])
        (0.75, 0.75)
    """
    return fmean(map(float, values))


def interval(gains: Mapping[Job, float]) -> tuple[float, float]:
    """A 95% interval of the mean gain by Student's t: over the means of builds where there are
    several, else over the tasks of the one.

    Example:
        >>> low, high = interval({(0, "t1"): 0.1, (0, "t2"): 0.2, (0, "t3"): 0.3})
        >>> round(low, 3), round(high, 3)
        (-0.048, 0.448)
    """
    builds = sorted({build for build, _ in gains})
    units = [fmean(gain for (own, _), gain in gains.items() if own == build) for build in builds]
    if len(builds) == 1:
        units = list(gains.values())
    if len(units) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(units) - 1)) * stdev(units) / math.sqrt(len(units))
    return fmean(units) - half, fmean(units) + half


def trial(form: str, builds: Sequence[int], rows: Sequence[str] = tuple(LABELS)) -> str:
    """A row per method that was run for all tasks of these builds: dev, test, the gain over the best
    expert in points, in percent, and evaluations.
    """
    scores = read(form)
    table = []
    for row in rows:
        label = LABELS[row]
        jobs = {job: means for job, means in scores.get(row, {}).items() if job[0] in builds}
        if len(jobs) == TASKS * len(builds):
            table.append([label, *cells(row, jobs, scores[BEST])])
    head = ["dev", "test", "test gain (points)", "relative gain", "evaluations"]
    return markdown([(NAMES | LIKELIHOODS)[form], *head], table)


NAMES = {"choices": "multiple choice", "written": "free-form answers"}
LIKELIHOODS = {"perplexity": "1 / perplexity", "abstain": "abstention"}


def complete(jobs: Mapping[Job, Mapping[str, float]]) -> dict[Job, Mapping[str, float]]:
    """The jobs of the builds of which all six tasks are there."""
    builds = [build for build, _ in jobs]
    return {job: means for job, means in jobs.items() if builds.count(job[0]) == TASKS}


def cells(
    row: str, jobs: Mapping[Job, Mapping[str, float]], best: Mapping[Job, Mapping[str, float]]
) -> list[Any]:
    """The cells of a method."""
    tests = {job: means["test"] for job, means in jobs.items()}
    spent = [means["evaluations"] for means in jobs.values() if "evaluations" in means]
    gained = gain_cells(tests, {job: best[job]["test"] for job in jobs})
    return [
        f"{fmean(means['dev'] for means in jobs.values()):.3f}",
        f"{fmean(tests.values()):.3f}",
        *(["", ""] if row == BEST else gained),
        f"{fmean(spent):,.0f}" if spent else "",
    ]


def gain_cells(tests: Mapping[Job, float], best: Mapping[Job, float]) -> list[str]:
    """The gain over the best expert: in points, with its interval, and in percent.

    Example:
        >>> gain_cells({(0, "a"): 0.6, (0, "b"): 0.6}, {(0, "a"): 0.5, (0, "b"): 0.5})
        ['+10.0 [+10.0, +10.0]', '+20.0%']
    """
    gains = {job: value - best[job] for job, value in tests.items()}
    low, high = interval(gains)
    gain = fmean(gains.values())
    points = f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return [points, f"{100 * gain / fmean(best[job] for job in tests):+.1f}%"]


def twelve(evidence: str = "twelve") -> str:
    """Model Swarms beside the paper's twelve baselines: the mean of each build's tasks, the gain over
    the best expert, and dev examples a task; best mean first.
    """
    frame = pd.DataFrame(lines(evidence))
    frame["right"] = frame["test"].map(share)
    spent = frame.groupby("method")["items"].mean()
    jobs = frame.groupby(["method", "build", "task"])["right"].mean()
    builds = jobs.groupby(["method", "build"]).mean()
    best = jobs["best-single"].to_dict()
    means = jobs.groupby("method").mean().sort_values(ascending=False)
    table = [
        [
            "best expert" if method == "best-single" else method,
            *(f"{right:.3f}" for right in builds[method]),
            f"{mean:.3f}",
            *gain_cells(jobs[method].to_dict(), best),
            f"{spent[method]:,.0f}",
        ]
        for method, mean in means.items()
    ]
    head = [*(f"replicate {build}" for build in builds["best-single"].index), "mean"]
    return markdown(
        ["mean of three tasks", *head, "gain (points)", "relative gain", "dev examples"], table
    )


DIFFERENCES = {
    "Model Swarms in `delta` minus best expert": ("swarm delta segments", BEST),
    "space: `delta` minus `factor`, Model Swarms from segments": (
        "swarm delta segments",
        "swarm factor segments",
    ),
    "start: sums minus segments, Model Swarms in `delta`": (
        "swarm delta sums",
        "swarm delta segments",
    ),
    "moves and scale: CMA-ES minus Model Swarms, `delta`": (
        "cma-es delta segments",
        "swarm delta segments",
    ),
    "moves: CMA-ES minus Model Swarms, `delta`, sum 1": (
        "cma-es delta segments sum-1",
        "swarm delta segments",
    ),
    "moves and scale: random search minus Model Swarms, `delta`": (
        "random delta segments",
        "swarm delta segments",
    ),
    "moves: random search minus Model Swarms, `delta`, sum 1": (
        "random delta segments sum-1",
        "swarm delta segments",
    ),
    "coefficients: the best of ten draws minus one set, Model Swarms in `delta`": (
        "swarm delta segments ten-draws",
        "swarm delta segments",
    ),
    "moves: CMA-ES, sum 1, minus the best of ten draws": (
        "cma-es delta segments sum-1",
        "swarm delta segments ten-draws",
    ),
    "moves: CMA-ES minus Model Swarms, `delta`, sums": ("cma-es delta sums", "swarm delta sums"),
    "the package's `covariant`, free, minus Model Swarms, `delta`": (
        "covariant delta segments",
        "swarm delta segments",
    ),
    "the package's `surrogate`, free, minus Model Swarms, `delta`": (
        "surrogate delta segments",
        "swarm delta segments",
    ),
    "LoraHub minus Model Swarms in `delta`": ("lorahub", "swarm delta segments"),
    "natural niches minus Model Swarms in `delta`": ("natural-niches", "swarm delta segments"),
    "what one number does: Model Swarms in `delta` minus scale": ("swarm delta segments", "scale"),
    "Model Swarms in `delta` minus greedy soup": ("swarm delta segments", "greedy-soup"),
    "all proposals scored, minus those skipped that promise little": (
        "default",
        "default, skipping",
    ),
    "default search, `--train off`, minus Model Swarms in `delta`": (
        "default without training",
        "swarm delta segments",
    ),
    "default search minus Model Swarms in `delta`": ("default", "swarm delta segments"),
    "default search minus data merge": ("default", "data-merge"),
}


def differences() -> str:
    """A row per question: the difference on test in points, of options and of written answers."""
    table = []
    for label, (first, second) in DIFFERENCES.items():
        found = [difference(read(form), first, second) for form in NAMES]
        if any(found):
            table.append([label, *found])
    return markdown(["difference on test, points", *NAMES.values()], table)


def difference(scores: Scores, first: str, second: str) -> str:
    """The mean difference of two rows over their tasks, with its interval, and on how many tasks the
    first is ahead; nothing where one was not run.
    """
    ours = complete(scores.get(first, {}))
    theirs = complete(scores.get(second, {}))
    gains = {job: ours[job]["test"] - theirs[job]["test"] for job in ours if job in theirs}
    if not gains:
        return ""
    low, high = interval(gains)
    ahead = sum(gain > 0 for gain in gains.values())
    text = f"{100 * fmean(gains.values()):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{text}, ahead on {ahead} of {len(gains)}"


CLAIMED = ("t4", "t5", "t6")  # the tasks that nothing was chosen on
OURS = "default"


def beside_strongest(form: str) -> list[str]:
    """Best expert, strongest of all controls, the search, and their difference, on the claimed tasks
    of three builds; the interval and p are over the builds.
    """
    scores = read(form)
    jobs = [(build, task) for build in ALL for task in CLAIMED]
    tests = {
        row: [found[job]["test"] for job in jobs]
        for row, found in scores.items()
        if all(job in found for job in jobs)
    }
    controls = {row: fmean(test) for row, test in tests.items() if not row.startswith(OURS)}
    rival = max(controls, key=lambda row: controls[row])
    gains = dict(zip(jobs, map(float.__sub__, tests[OURS], tests[rival]), strict=True))
    low, high = interval(gains)
    of_builds = [fmean(gains[build, task] for task in CLAIMED) for build in ALL]
    p_value = stats.ttest_1samp(of_builds, 0).pvalue
    return [
        f"{fmean(tests[BEST]):.3f}",
        f"{controls[rival]:.3f}, {LABELS[rival]}",
        f"{fmean(tests[OURS]):.3f}",
        f"{100 * fmean(of_builds):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}], p = {p_value:.2f}",
    ]


REAL = "real-trial"


def real() -> str:
    """A row per task and method of the real model: dev, test, the paired gain on test, evaluations."""
    found = lines(REAL)
    table = []
    for task in dict.fromkeys(line["task"] for line in found):
        rows = {line["row"]: line for line in found if line["task"] == task}
        best = right(rows[BEST]["test"])
        for row in [row for row in LABELS if row in rows]:
            gain = compare_paired(right(rows[row]["test"]), best)
            ends = ", ".join(f"{100 * end:+.1f}" for end in gain.interval)
            cells = [f"{rows[row]['dev']:.3f}", f"{share(rows[row]['test']):.3f}"]
            cells.append("" if row == BEST else f"{100 * gain.difference:+.1f} [{ends}]")
            table.append([task, LABELS[row], *cells, str(rows[row].get("evaluations", ""))])
    return markdown(["task", "", "dev", "test", "gain on test, points", "evaluations"], table)


def right(packed: str) -> list[float]:
    """The items of a line, 1 where the answer is right."""
    return [float(sign == "1") for sign in packed]


TABLES = {
    "trial-real": real,
    "trial-differences": differences,
    "trial-choices": lambda: trial("choices", ALL),
    "trial-written": lambda: trial("written", ALL),
    "trial-moves": lambda: trial("choices", MOVES, HULL),
    "trial-choices-0": lambda: trial("choices", ALL[:1], FIRST),
    "trial-perplexity": lambda: trial("perplexity", LIKELY),
    "trial-abstain": lambda: trial("abstain", LIKELY[:1]),
}
