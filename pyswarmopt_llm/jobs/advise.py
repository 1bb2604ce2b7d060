"""Advice from a small trial: is it worth merging, training or searching, or is the best expert enough?

The trial is a cross-validation: two searches, each on one half of the dev items (`SearchConfig.half`), and each scored
on the other half. So whatever is chosen or trained is measured on items that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import LEAST_DEV, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.evaluation.record import pack, unpack
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.jobs.search.preset import resolve
from pyswarmopt_llm.jobs.search.validate import CHOICES, check_settings, given_settings
from pyswarmopt_llm.metrics.external.permission import runs_code
from pyswarmopt_llm.metrics.objectives import load_objectives
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.reporting.advice import WAYS, Gain, advice, gain
from pyswarmopt_llm.reporting.commands import advised_steps, near
from pyswarmopt_llm.reporting.verdict import Verdict

LEAST = 8  # dev items from which on anything can be said
RECORD = "advice.json"
# Settings that say where a trial runs, not what it is, and what a run says of itself.
HERE = ("out", "dtype", "device", "threads", "batch_tokens")
_MODELS = {"single": "best_single", "merge": "uniform", "search": "best"}  # in ``result.json``
Outcomes = Mapping[str, Sequence[float]]  # model -> the scores of its items


@dataclass(frozen=True)
class Advised:
    """What `advise` found.

    Attributes:
        verdict: in words.
        expert: the best single one on dev.
        items: dev items.
        gains: way -> expected gain over that expert on new items.
        steps: (purpose, command) to go on with.
        run: directory of the trial.
    """

    verdict: Verdict
    expert: str
    items: int
    gains: dict[str, Gain]
    steps: tuple[tuple[str, str], ...]
    run: Path

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "advice": self.verdict.kind,
            "sentence": self.verdict.sentence,
            "expert": self.expert,
            "items": self.items,
            "gains": {
                way: {"difference": gain.difference, "interval": [gain.low, gain.high]}
                for way, gain in self.gains.items()
            },
            "next": [{"purpose": purpose, "command": command} for purpose, command in self.steps],
            "run": str(self.run),
        }


def advise(config: SearchConfig, on_event: OnEvent | None = None) -> Advised:
    """Run the trial, or finish or read the one that `config.out` holds, and judge it; test items are not looked at.

    Args:
        config: the search that one thinks of.
        on_event: called with progress.

    Raises:
        UserError: bad input, before anything is written, or `config.out` holds another run.
    """
    path, tried = user_path(config.out), list[Outcomes]()
    on_dev = dict[str, float]()
    trials = halves(config)
    for trial in trials:
        _check_same(trial)
    for trial in trials:
        outcomes, values = _tried(trial, on_event)
        tried.append(outcomes)
        on_dev = {name: on_dev.get(name, 0.0) + value for name, value in values.items()}
    pooled = {who: [*tried[0][who], *tried[1][who]] for who in tried[0]}
    single = pooled.pop("single")
    gains = {way: gain(pooled[way], single) for way in WAYS if way in pooled}
    expert, items = max(on_dev, key=on_dev.__getitem__), len(single)
    verdict = advice(gains, items, expert)
    steps = advised_steps(verdict.kind, config.experts[list(on_dev).index(expert)], near(config))
    advised = Advised(verdict, expert, items, gains, tuple(steps), path)
    write_json(path / RECORD, advised.to_json())
    return advised


def halves(config: SearchConfig) -> list[SearchConfig]:
    """The two searches that are the trial.

    Raises:
        UserError: experts of no common base, or too few items.
    """
    plain = resolve(config)
    check_settings(plain)
    if not plain.kind.adapters:
        raise InvalidOption("base", config.base, "the advice is about LoRA experts of one base; name it")
    objectives = load_objectives(plain.config)
    if objectives.externals:
        raise UserError(f"{next(iter(objectives.externals))}: has no items to tell from; give a task file")
    items = sum(len(task.dev) for task in objectives.tasks.values())
    if items < LEAST:
        raise UserError(f"{', '.join(config.tasks)}: {items} dev items tell nothing; give at least {LEAST}")
    # Half of the items is trained on where all of them would be.
    train = resolve(config, objectives).config.train if items >= LEAST_DEV else "off"
    path = user_path(config.out)
    trial = replace(config, train=train, no_rivals=True)
    return [replace(trial, half=half, out=str(path / f"half-{half}")) for half in (1, 2)]


def _tried(config: SearchConfig, on_event: OnEvent | None) -> tuple[Outcomes, Mapping[str, float]]:
    """Scores of the other half's items: of ``single``, the best expert, and of each way; the experts' own on this."""
    notify, path = on_event or (lambda event: None), Path(config.out)
    notify(Event("note", {"text": f"half {config.half} of 2: searching on it, then scoring on the other"}))
    allowed = [value for _, value in runs_code(config)]  # named in this call
    begun = (path / "run.json").exists()
    result = (resume(path, on_event, allowed) if begun else search(config, on_event)).result

    def scores(packed: Mapping[str, Any]) -> list[float]:
        return [value for items in packed.values() for value in unpack(items)]

    outcomes = result["outcomes"]
    by_way = {way: scores(outcomes[who]) for way, who in _MODELS.items() if who in outcomes}
    if "trained_dev" in result:
        notify(Event("note", {"text": "training the base on the same half, for comparison"}))
        by_way["train"] = scores(_trained_alone(config, str(result["scoring"])))
    return by_way, result["experts"]["dev"]


def _trained_alone(config: SearchConfig, scoring: str) -> dict[str, Any]:
    """Task -> packed scores of the other half's items after training the base on this one; kept beside the run."""
    file = Path(config.out) / "trained-alone.json"
    if not file.exists():
        job = prepare(replace(config, scoring=scoring))
        scorings = {name: job.objectives.scorings(name, job.config.scoring)[0] for name in job.tasks}
        job.engine.load(Patch())
        patch, _ = train_once(job.engine, job.training_items(scorings)[1], job.experts[0], config.seed)
        job.engine.load(patch)
        utilities = job.utilities("test", scorings)
        write_json(file, {name: pack(utility(job.engine).per_item) for name, utility in utilities.items()})
    packed: dict[str, Any] = read_json(file)
    return packed


def _check_same(config: SearchConfig) -> None:
    """Refuse a directory that holds something else.

    Raises:
        UserError: names the setting that differs.
    """
    path = Path(config.out)
    if not (path / "run.json").exists():
        return
    run = Run.open(path)
    stored, before = asdict(run.config), run.about.given
    fixed = {name: value for name, value in asdict(config).items() if name not in (*HERE, *CHOICES)}
    differs = [name for name, value in fixed.items() if stored[name] != value]
    asked = given_settings(config)
    differs += [name for name in CHOICES if asked.get(name) != before.get(name)]
    if differs:
        raise UserError(f"{path.parent}: holds another run ({differs[0]} differs); give another `out`")
