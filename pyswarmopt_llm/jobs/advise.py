"""Advice from a small trial: is it worth merging, training or searching?

The trial is a cross-validation: two searches, each on one half of the dev items
(`SearchConfig.half`), and each scored on the other half. So whatever is chosen or trained is
measured on items that it has not seen. It is bounded: at most `MOST` dev items, at most four
experts in each half (`jobs.promising`), and where a search would train, one training on top of what
it found and one of the base, without the folds by which a search judges its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import LEAST_DEV, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import read_json, user_path, write_json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.evaluation.record import pack, unpack
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.promising import MEMBERS, promising_experts
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.jobs.search.preset import resolve
from pyswarmopt_llm.jobs.search.validate import CHOICES, check_settings, given_settings
from pyswarmopt_llm.metrics.external.permission import runs_code
from pyswarmopt_llm.metrics.objectives import load_objectives
from pyswarmopt_llm.models.adapters.compatibility import unique_names
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.reporting.advice import WAYS, advice, gain
from pyswarmopt_llm.reporting.commands import advised_steps, near
from pyswarmopt_llm.reporting.verdict import Difference, Verdict

LEAST, MOST = 8, 160  # dev items from which on anything can be said, and that are used
RECORD, TRAINED = "advice.json", "trained.json"
# Settings that say where a trial runs, not what it is, and what a run says of itself.
HERE = ("out", "dtype", "device", "threads", "batch_tokens")
_MODELS = {"single": "best_single", "merge": "uniform", "search": "best"}  # in ``result.json``
Outcomes = Mapping[str, Sequence[float]]  # model -> the scores of its items


@dataclass(frozen=True)
class Advised:
    """The result of `advise`.

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
    gains: dict[str, Difference]
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
                way: {"difference": gain.mean, "interval": [gain.low, gain.high]}
                for way, gain in self.gains.items()
            },
            "next": [{"purpose": purpose, "command": command} for purpose, command in self.steps],
            "run": str(self.run),
        }


def advise(config: SearchConfig, on_event: OnEvent | None = None) -> Advised:
    """Run the trial, or finish or read the one in `config.out`, and judge it; test is not used.

    Args:
        config: the search that one thinks of.
        on_event: called with progress.

    Raises:
        UserError: bad input, before anything is written, or `config.out` holds another run.
    """
    path, outcomes = user_path(config.out), list[Outcomes]()
    on_dev = dict.fromkeys(config.experts, 0.0)
    trials, trains = halves(config)
    for trial in trials:
        _check_same(trial)
    for trial in trials:
        trial = replace(
            trial, experts=promising_experts(trial, path / f"experts-{trial.half}.json")
        )
        scores, values = _tried(trial, trains, on_event)
        outcomes.append(scores)
        for expert, value in zip(trial.experts, values.values(), strict=True):
            on_dev[expert] += value
    pooled = {way: [*outcomes[0][way], *outcomes[1][way]] for way in outcomes[0]}
    single = pooled.pop("single")
    gains = {way: gain(pooled[way], single) for way in WAYS if way in pooled}
    best, items = max(on_dev, key=on_dev.__getitem__), len(single)
    expert = unique_names(config.experts)[config.experts.index(best)]
    verdict = advice(gains, items, expert)
    steps = advised_steps(verdict.kind, best, near(config))
    advised = Advised(verdict, expert, items, gains, tuple(steps), path)
    write_json(path / RECORD, advised.to_json())
    return advised


def halves(config: SearchConfig) -> tuple[list[SearchConfig], bool]:
    """The two searches that are the trial, and whether what they find is trained.

    Raises:
        UserError: experts of no common base, or too few items.
    """
    plain = resolve(config)
    check_settings(plain)
    if not plain.kind.adapters:
        raise InvalidOption(
            "base", config.base, "the advice is about LoRA experts of one base; name it"
        )
    objectives = load_objectives(plain.config)
    if objectives.externals:
        raise UserError(
            f"{next(iter(objectives.externals))}: has no items to tell from; give a task file"
        )
    sizes = [len(task.dev) for task in objectives.tasks.values()]
    if sum(sizes) < LEAST:
        raise UserError(
            f"{', '.join(config.tasks)}: {sum(sizes)} dev items tell nothing; give at least {LEAST}"
        )
    trains = resolve(config, objectives).config.train == "on" and sum(sizes) >= LEAST_DEV
    trains = trains and not objectives.written  # whose training no other way has
    # The files keep their first items; a number that is larger than a split would be warned about.
    most = max(MOST // len(sizes), 1)
    dev = most if max(sizes) > most else config.dev
    path = user_path(config.out)
    trial = replace(config, train="off", no_rivals=True, dev=dev)
    return [replace(trial, half=half, out=str(path / f"half-{half}")) for half in (1, 2)], trains


def _tried(
    config: SearchConfig, trains: bool, on_event: OnEvent | None
) -> tuple[Outcomes, Mapping[str, float]]:
    """Scores of the other half's items, by way; the experts' scores on this one."""
    notify, path = on_event or (lambda event: None), Path(config.out)
    notify(
        Event(
            "note", {"text": f"half {config.half} of 2: searching on it, then scoring on the other"}
        )
    )
    allowed = [value for _, value in runs_code(config)]  # named in this call
    begun = (path / "run.json").exists()
    result = (resume(path, on_event, allowed) if begun else search(config, on_event)).result
    packed = {
        way: result["outcomes"][who] for way, who in _MODELS.items() if who in result["outcomes"]
    }
    if trains:
        notify(
            Event(
                "note",
                {"text": "training what was found, and the base for comparison, on the same half"},
            )
        )
        packed |= _trained(config, str(result["scoring"]))
    outcomes = {
        way: [value for items in tasks.values() for value in unpack(items)]
        for way, tasks in packed.items()
    }
    return outcomes, result["experts"]["dev"]


def _trained(config: SearchConfig, scoring: str) -> dict[str, Any]:
    """Way -> task -> packed scores of the other half's items after training on this one."""
    path = Path(config.out)
    file = path / TRAINED
    if not file.exists():
        job = prepare(replace(config, scoring=scoring))
        scorings = {
            name: job.objectives.scorings(name, job.config.scoring)[0] for name in job.tasks
        }
        choices = job.training_items(scorings)[1]
        utilities = job.utilities("test", scorings)
        outcomes = {}
        for way, start in {"search": job.space.read(path / "best"), "train": Patch()}.items():
            job.engine.load(start)
            lora, _ = train_once(job.engine, choices, job.experts[0], config.seed)
            job.engine.load(start.with_low_rank(lora.low_rank))
            outcomes[way] = {
                name: pack(utility(job.engine).per_item) for name, utility in utilities.items()
            }
        write_json(file, outcomes)
    kept: dict[str, Any] = read_json(file)
    return kept


def _check_same(trial: SearchConfig) -> None:
    """Refuse a directory that holds something else; of the experts it knows those that
    `promising_experts` chose.

    Raises:
        UserError: names the setting that differs.
    """
    path = Path(trial.out)
    if not (path / "run.json").exists():
        return
    run = Run.open(path)
    stored, before = asdict(run.config), run.about.given
    free = (*HERE, *CHOICES, *["experts"] * (len(trial.experts) > MEMBERS))
    fixed = {name: value for name, value in asdict(trial).items() if name not in free}
    differs = [name for name, value in fixed.items() if stored[name] != value]
    asked = given_settings(trial)
    differs += [name for name in CHOICES if asked.get(name) != before.get(name)]
    if differs:
        raise UserError(
            f"{path.parent}: holds another run ({differs[0]} differs); give another `out`"
        )
