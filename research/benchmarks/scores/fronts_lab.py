"""Fronts of right facts and of tokens in the laboratory of statements, by six ways to search.

    python research/benchmarks/scores/fronts_lab.py runs/fronts --build 1 --seeds 0 1 2 \\
        --outcomes research/evidence/lab-fronts.jsonl

Ten experts know an attribute each and are brief or long (`lab/records.py`); a build has a base and
experts of its own. Each method evaluates 40 candidates on 50 dev prompts; its points that no other of
them dominates there are scored on 500 test prompts. Methods of one build share what was evaluated.

- front: the proposer of `--front`, as a search has it.
- knob: the best expert at 40 strengths from 0 to 1.
- scalar: the same starting points, then five weighted sums in turn, each by the surrogate of one
  score, which learns from all candidates before.
- NSGA-II and TPE: optuna's, the same starting points, then coefficients from 0 to 1.
- random: the same starting points, then Dirichlet weights times 0.5 to 1.5.

The proposer was chosen on builds 0 and 4; builds 1 to 3 are to claim on, as was said before their first
run. With `--second drift` the second score is how far the first token of a reply has moved from the
base's, and `--experts 2` has only the first two. What is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from runs import adapters

from pyswarmopt.driver.multi.pareto import non_dominated
from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.combine import find_combine
from pyswarmopt_llm.searching.explore import explore
from pyswarmopt_llm.searching.front import front_proposer
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.surrogate import Candidate, ScoreProcess, proposed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from records import LONGEST, facts_of, make_base, make_experts, share_right, task

EVALUATIONS = 40  # of every method
TOKEN = 1 / LONGEST  # a token's worth, so that both scores have a range of 1
WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the facts, in the weighted sums
Values = list[tuple[float, float]]


def facts(reply: str, item: Any) -> float:
    """The metric: the share of the facts that a reply states."""
    return share_right(reply, facts_of(item))


def made(folder: Path, build: int) -> Path:
    """The laboratory of a build: base, experts and prompts."""
    lab = folder / f"build-{build}"
    if not (lab / "base" / "config.json").exists():
        make_base(lab / "base", build)
    make_experts(lab, build)
    task(lab)
    return lab


def opened(lab: Path, second: str, experts: int | None) -> Job:
    """A search of a laboratory's experts for a front, ready to run."""
    questions = lab / "questions.jsonl"
    config = SearchConfig(
        base=str(lab / "base"),
        experts=adapters(lab / "experts")[:experts],
        tasks=(f"prompts:{questions}",),
        metrics=(f"{Path(__file__).resolve()}:facts", second),
        keep=str(questions) if second == "drift" else None,
        front=True,
        max_new_tokens=LONGEST,
        out=str(lab / "none"),
        threads=1,
        dtype="float32",
    )
    return prepare(config)


def evaluator(job: Job, split: str) -> CandidateEvaluator:
    """Of candidates on a split."""
    names = job.objectives.names
    return job.evaluator(
        split, {name: job.objectives.answer_formats(name, "auto")[0] for name in names}
    )


# ---- methods: each lets a scorer evaluate candidates ----


def front(job: Job, scorer: Scorer) -> None:
    """The proposer of `--front`."""
    explore(front_proposer(job), scorer, job.config)


def knob(job: Job, scorer: Scorer) -> None:
    """The best expert by the first score at 40 strengths; finding it is free."""
    vertices = list(job.pool.space.vertices())
    rows = Scorer(scorer.run, scorer.evaluator).score(vertices, 0)
    best = max(range(len(rows)), key=lambda number: rows[number].tasks["facts"].value)
    strengths = np.linspace(0, 1, EVALUATIONS).tolist()
    scorer.score([strength * vertices[best] for strength in strengths], 0)


def scalar(job: Job, scorer: Scorer) -> None:
    """Five weighted sums in turn."""
    rows = scorer.score(list(job.starts), 0)
    positions = list(job.starts)
    number = 0
    while len(scorer.rows) < EVALUATIONS:
        share = WEIGHTS[number % len(WEIGHTS)]
        combine = find_combine(f"weighted:{share},{(1 - share) * TOKEN}", 2)
        scores = [combine([*row.tasks.values()]) for row in rows]
        seen = [
            Candidate(position.numpy(), score.value, items=score.per_item)
            for position, score in zip(positions, scores, strict=True)
        ]
        model = ScoreProcess(seen)
        (position,) = proposed(model, model.positions, job.config.seed + number)
        rows += scorer.score([position], 1)
        positions.append(position)
        number += 1


def by_optuna(job: Job, scorer: Scorer, sampler: Any) -> None:
    """A sampler of optuna, which is told the starting points first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)
    names = job.pool.space.expert_names
    for start in job.starts.tolist():
        study.enqueue_trial(dict(zip(names, start, strict=True)))
    while len(scorer.rows) < EVALUATIONS:
        trial = study.ask()
        position = [trial.suggest_float(name, 0, 1) for name in names]
        (row,) = scorer.score([torch.tensor(position, dtype=torch.float64)], 0)
        study.tell(trial, [score.value for score in row.tasks.values()])


def nsga(job: Job, scorer: Scorer) -> None:
    """NSGA-II with as many members as there are starting points."""
    from optuna.samplers import NSGAIISampler

    sampler = NSGAIISampler(population_size=len(job.starts), seed=job.config.seed)
    by_optuna(job, scorer, sampler)


def tpe(job: Job, scorer: Scorer) -> None:
    """TPE, which proposes from the starting points on."""
    from optuna.samplers import TPESampler

    sampler = TPESampler(n_startup_trials=len(job.starts), seed=job.config.seed)
    by_optuna(job, scorer, sampler)


def random_mixtures(job: Job, scorer: Scorer) -> None:
    """Mixtures of all experts by lot."""
    draws = np.random.default_rng(job.config.seed)
    scorer.score(list(job.starts), 0)
    width = job.starts.shape[1]
    while len(scorer.rows) < EVALUATIONS:
        weights = draws.uniform(0.5, 1.5) * draws.dirichlet(np.ones(width))
        scorer.score([torch.from_numpy(weights)], 0)


METHODS: dict[str, Callable[[Job, Scorer], None]] = {
    "front": front,
    "knob": knob,
    "scalar": scalar,
    "NSGA-II": nsga,
    "TPE": tpe,
    "random": random_mixtures,
}


def outcome(job: Job, journal: RunJournal, method: str) -> dict[str, Any]:
    """The evaluations of a method, and its front on dev and on test."""
    scorer = Scorer(journal, evaluator(job, "dev"))
    METHODS[method](job, scorer)
    values = np.array(values_of(scorer.rows))
    kept = [scorer.rows[number] for number in np.flatnonzero(non_dominated(-values))]
    tested = Scorer(journal, evaluator(job, "test"), "test")
    positions = [torch.tensor(row.coefficients, dtype=torch.float64) for row in kept]
    rows = tested.score(positions, 0)
    return {
        "evaluations": len(scorer.rows),
        "dev": values_of(kept),
        "test": values_of(rows),
        "weights": [[round(weight, 4) for weight in row.coefficients] for row in kept],
    }


def values_of(rows: Sequence[Row]) -> Values:
    """Both scores of each row, higher is better."""
    return [tuple(round(score.value, 6) for score in row.tasks.values()) for row in rows]


def base_values(job: Job, journal: RunJournal) -> dict[str, Any]:
    """The base model on dev and on test."""
    base = torch.zeros_like(job.starts[0])
    found = {}
    for split, phase in (("dev", "search"), ("test", "test")):
        rows = Scorer(journal, evaluator(job, split), phase).score([base], 0)
        found[split] = values_of(rows)
    return {"evaluations": 1, **found}


def runs(options: argparse.Namespace, done: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """The lines that are missing."""
    lab = made(options.folder, options.build)
    job = opened(lab, options.second, options.experts)
    kept = lab / f"{options.second}-{options.experts}"
    kept.mkdir(exist_ok=True)
    journal = RunJournal(kept)
    for seed in options.seeds:
        own = replace(job, config=replace(job.config, seed=seed))
        for method in ["base", *options.methods]:
            if (options.second, options.experts, options.build, seed, method) in done:
                continue
            found = base_values(own, journal) if method == "base" else outcome(own, journal, method)
            key = {"build": options.build, "seed": seed, "method": method}
            yield {"second": options.second, "experts": options.experts, **key, **found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the builds and of what was evaluated")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--build", type=int, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--second", default="tokens", choices=("tokens", "drift"))
    parser.add_argument("--experts", type=int, help="only so many of them")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines: list[str] = []
    if options.outcomes.exists():
        lines = options.outcomes.read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    names = ("second", "experts", "build", "seed", "method")
    done = {tuple(row[name] for name in names) for row in rows}
    with options.outcomes.open("a", encoding="utf-8") as file:
        for row in runs(options, done):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(row["build"], row["seed"], row["method"], row["test"], flush=True)


if __name__ == "__main__":
    main()
