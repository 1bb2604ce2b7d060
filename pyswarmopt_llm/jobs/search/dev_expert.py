"""One more expert for a search, trained on the dev items (``--dev-expert``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, AdapterInfo, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.training.choices import Choices
from pyswarmopt_llm.models.training.halves import halves, train_halves
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace
from pyswarmopt_llm.tasks import Scoring

FOLDER = "dev-expert"

def with_dev_expert(job: Job, run: Run, scorings: dict[str, Scoring], notify: OnEvent) -> Job:
    """The job with a space of one more expert, which is trained here or read from the run directory."""
    choices = _choices(job, scorings)
    folders = [run.path / FOLDER / name for name in ("first", "second")]
    if not all((folder / "adapter_config.json").is_file() for folder in folders):
        notify(Event("note", {"text": f"training one more expert on the {len(choices)} dev items"}))
        _train(job, choices, folders)
    first, second = (AdapterFile(read_adapter(folder, f"dev-{folder.name}")) for folder in folders)
    space = untrained_space(job)
    space.complete((first, second), halves(choices, job.config.seed))
    return replace(job, prepared=replace(job.prepared, space=space))


def untrained_space(job: Job) -> CrossFittedSpace:
    """The space that the search will have, to begin with."""
    return CrossFittedSpace([AdapterFile(info) for info in job.prepared.experts], job.config.granularity)


def _choices(job: Job, scorings: dict[str, Scoring]) -> list[Choices]:
    utilities = job.utilities("dev", scorings).values()
    return [item for utility in utilities if isinstance(utility, Accuracy) for item in utility.choices()]


def _train(job: Job, choices: list[Choices], folders: list[Path]) -> None:
    info: AdapterInfo = job.prepared.experts[0]  # whose rank, scale and modules the new one has
    job.engine.load(Patch())
    one = next(iter(info.modules.values()))
    shapes = {module: shape.weight_shape for module, shape in info.modules.items()}
    trained = train_halves(job.engine, choices, shapes, one.rank, one.scale, job.config.seed)
    for folder, half in zip(folders, trained, strict=True):
        if not (folder / "adapter_config.json").is_file():  # an earlier process may have been stopped between the two
            write_adapter(
                folder,
                {name.removesuffix(".weight"): (change.b, change.a) for name, change in half.changes.items()},
                base_model_name=job.prepared.base_name,
                target_modules=info.target_modules,
            )


__all__ = ["untrained_space", "with_dev_expert"]
