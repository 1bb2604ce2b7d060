"""Advice from a small trial: take an expert, fine-tune it or the base, or search?

The trial is a cross-validation: two searches, each on one half of the dev items
(`SearchConfig.half`), and each scored on the other half. So whatever is chosen or trained is
measured on items that it has not seen. It is bounded: at most `MOST` dev items, and where a search
would train, one training each on top of what it found, of its best expert and of the base, as long
as a search trains without a fold.
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
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.jobs.search.preset import resolve
from pyswarmopt_llm.jobs.search.validate import CHOICES, check_settings, given_settings
from pyswarmopt_llm.metrics.external.named_again import runs_code
from pyswarmopt_llm.metrics.objectives import load_objectives
from pyswarmopt_llm.models.adapters.compatibility import unique_names
from pyswarmopt_llm.models.choices import labelled
from pyswarmopt_llm.models.training.folds import fit
from pyswarmopt_llm.reporting.advice import BASE, EXPERT, SEARCH, TAKE, Difference, advice, gains
from pyswarmopt_llm.reporting.commands import advised_steps, near
from pyswarmopt_llm.reporting.verdict import Verdict

LEAST, MOST = 8, 160  # dev items from which on anything can be said, and that are used
RECORD, TRAINED = "advice.json", "trained.json"
# Settings that say where a trial runs, not what it is, and what a run says of itself.
HERE = ("out", "dtype", "device", "threads", "batch_tokens")
_MODELS = {TAKE: "best_single", SEARCH: "best"}  # in ``result.json``
Outcomes = Mapping[str, Sequence[float]]  # way -> the scores of its items


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
    plan = plan_trial(config)
    for half in plan.halves:
        _check_same(half)
    for half in plan.halves:
        scores, values = _tried(half, plan.epochs, on_event)
        outcomes.append(scores)
        for expert, value in zip(config.experts, values.values(), strict=True):
            on_dev[expert] += value
    pooled = {way: [*outcomes[0][way], *outcomes[1][way]] for way in outcomes[0]}
    best, items = max(on_dev, key=on_dev.__getitem__), len(pooled[TAKE])
    expert = unique_names(config.experts)[config.experts.index(best)]
    verdict = advice(pooled, expert, plan.scorable)
    steps = advised_steps(verdict.kind, best, near(config))
    advised = Advised(verdict, expert, items, gains(pooled), tuple(steps), path)
    write_json(path / RECORD, advised.to_json())
    return advised


@dataclass(frozen=True)
class TrialPlan:
    """The trial before it runs.

    Attributes:
        halves: the two searches.
        epochs: for which what they find is trained, and its rivals; 0: nothing is trained.
        scorable: whether answers are written and no score of the user's judges them.
    """

    halves: Sequence[SearchConfig]
    epochs: int
    scorable: bool


def plan_trial(config: SearchConfig) -> TrialPlan:
    """The trial for a search.

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
    halves = [replace(trial, half=half, out=str(path / f"half-{half}")) for half in (1, 2)]
    epochs = labelled(min(sum(sizes), MOST)).without_fold if trains else 0
    return TrialPlan(halves, epochs, objectives.writes and not objectives.user_scored)


def _tried(
    config: SearchConfig, epochs: int, on_event: OnEvent | None
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
    packed = {way: result["outcomes"][who] for way, who in _MODELS.items()}
    if epochs:
        text = "training what was found, the best expert and the base on the same half"
        notify(Event("note", {"text": text}))
        packed |= _trained(config, epochs, result)
    outcomes = {
        way: [value for items in tasks.values() for value in unpack(items)]
        for way, tasks in packed.items()
    }
    return outcomes, result["experts"]["dev"]


def _trained(config: SearchConfig, epochs: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Way -> task -> packed scores of the other half's items after training on this one."""
    path = Path(config.out)
    file = path / TRAINED
    if not file.exists():
        job = prepare(replace(config, scoring=str(result["scoring"])))
        scorings = {
            name: job.objectives.scorings(name, job.config.scoring)[0] for name in job.tasks
        }
        choices = job.training_items(scorings)[1]
        utilities = job.utilities("test", scorings)
        single = job.space.expert_names.index(result["best_single"])
        expert = job.space.realise(job.space.vertices()[single])
        starts = {BASE: Patch(), EXPERT: expert}
        mixed = {name: weight for name, weight in result["coefficients"].items() if weight}
        unmixed = mixed == {result["best_single"]: 1.0}
        if not unmixed:
            starts[SEARCH] = job.space.read(path / "best")
        outcomes = {}
        for way, start in starts.items():
            settings = (job.experts[0], config.seed)
            lora = fit(job.engine, start, choices, *settings, epochs=epochs)
            job.engine.load(start.with_low_rank(lora.low_rank))
            outcomes[way] = {
                name: pack(utility(job.engine).per_item) for name, utility in utilities.items()
            }
        if unmixed:
            outcomes[SEARCH] = outcomes[EXPERT]
        write_json(file, outcomes)
    kept: dict[str, Any] = read_json(file)
    return kept


def _check_same(trial: SearchConfig) -> None:
    """Refuse a directory that holds something else.

    Raises:
        UserError: names the setting that differs.
    """
    path = Path(trial.out)
    if not (path / "run.json").exists():
        return
    run = Run.open(path)
    stored, before = asdict(run.config), run.about.given
    free = (*HERE, *CHOICES)
    fixed = {name: value for name, value in asdict(trial).items() if name not in free}
    differs = [name for name, value in fixed.items() if stored[name] != value]
    asked = given_settings(trial)
    differs += [name for name in CHOICES if asked.get(name) != before.get(name)]
    if differs:
        raise UserError(
            f"{path.parent}: holds another run ({differs[0]} differs); give another `out`"
        )
