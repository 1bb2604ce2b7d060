"""Trackers get every evaluation once, and nothing leaves the machine unless requested."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_helpers import history, search_words, swarm_llm

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.report.tracking import (
    TRACKERS,
    open_tracker,
    run_name,
    tracked,
)
from pyswarmopt_llm.searching.loop import resume, search
from pyswarmopt_llm.searching.scoring.run_directory import Run, about_run


class Stopped(Exception):
    """In the place of a killed process."""


@pytest.fixture
def config(words_search: Callable[..., SearchConfig]) -> SearchConfig:
    return words_search(12, 6, patience=9)


class Fake:
    """The parts of wandb and trackio that are used, with the parameters that their documentation
    names.
    """

    def __init__(self) -> None:
        self.inits: list[dict[str, Any]] = []
        self.logs: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        assert step is not None and all(isinstance(value, int | float) for value in values.values())
        self.logs.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def wandb_init(  # docs.wandb.ai/ref/python/init
    fake: Fake,
    entity: str | None = None,
    project: str | None = None,
    dir: str | Path | None = None,
    id: str | None = None,
    name: str | None = None,
    config: dict[str, Any] | None = None,
    mode: str | None = None,
    resume: bool | str | None = None,
) -> Fake:
    assert (
        dir is not None and Path(dir).is_dir() and id is not None and not set(id) & set("/\\#?%:")
    )
    fake.inits.append(
        {"project": project, "dir": dir, "id": id, "config": config, "mode": mode, "resume": resume}
    )
    return fake


def trackio_init(  # huggingface.co/docs/trackio, v0.30
    fake: Fake,
    project: str,
    name: str | None = None,
    group: str | None = None,
    space_id: str | None = None,
    config: dict[str, Any] | None = None,
    resume: str = "never",
    embed: bool = True,
) -> Fake:
    assert space_id is None and resume in ("must", "allow", "never")
    print("* Trackio project initialized")
    fake.inits.append({"project": project, "id": name, "config": config, "resume": resume})
    return fake


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a fake package of that name in place."""

    def put(name: str) -> Fake:
        fake, module = Fake(), types.ModuleType(name)
        init = {"wandb": wandb_init, "trackio": trackio_init}[name]
        module.init = lambda **options: init(fake, **options)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
        return fake

    return put


def expected(run: Path) -> list[tuple[int, float]]:
    """Number and value of each evaluation, from the journal."""
    return [(number, row["value"]) for number, row in enumerate(history(run), start=1)]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_gets_each_evaluation_once_through_a_stop_and_a_resume(
    name: str,
    install: Any,
    config: SearchConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    fake = install(name)

    def until_the_seventh(event: Event) -> None:
        if event.kind == "evaluation" and event.data["evaluations"] == 7:
            raise Stopped

    with pytest.raises(Stopped), tracked(name) as on_event:
        search(config, lambda event: (on_event(event), until_the_seventh(event)))  # type: ignore[arg-type, func-returns-value]
    assert fake.finished == 1
    with tracked(name) as on_event:
        done = resume(config.out, on_event)
    *evaluations, (last, final) = fake.logs
    assert [(step, values["dev/value"]) for step, values in evaluations] == expected(done.run)
    assert max(values["dev/best"] for _, values in evaluations) == done.result["best_dev"]
    assert last == len(evaluations) + 1 and final["result/best_test"] == done.result["best_test"]
    first, second = fake.inits
    assert first == second and first["resume"] == "allow" and first["id"].startswith("run-")
    assert first["config"]["particles"] == 5
    assert first.get("mode", "offline") == "offline"
    assert capsys.readouterr().out == ""  # stdout is for results


def test_wandb_goes_online_only_if_told_to(
    install: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = install("wandb")
    monkeypatch.setenv("WANDB_MODE", "online")
    path = tmp_path / "my run:1"
    Run.create(path, about_run(SearchConfig("b", ("x", "y"), ("t",), "r"), {}))
    open_tracker("wandb", path)
    assert fake.inits[0]["mode"] == "online" and fake.inits[0]["id"].startswith("my-run-1-")


def test_tensorboard_reads_back_what_was_logged(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason="extra: tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = search_words(config)
    assert swarm_llm(capsys, *words, "--track", "tensorboard")[0] == 0
    run = Path(config.out)
    read = EventAccumulator(str(run / "tensorboard"))
    read.Reload()
    values = [(event.step, event.value) for event in read.Scalars("dev/value")]
    assert values == [(step, pytest.approx(value)) for step, value in expected(run)]
    best = [event.value for event in read.Scalars("dev/best")]
    assert best == sorted(best) and len(best) == len(values)
    assert {"search/iteration", "search/items", "result/best_test", "result/uniform_dev"} <= set(
        read.Tags()["scalars"]
    )
    assert '"particles": 5' in str(
        read.Tensors("config/text_summary")[0].tensor_proto.string_val[0], "utf-8"
    )


def test_two_runs_have_two_names_and_a_run_keeps_its_own(tmp_path: Path) -> None:
    names = set()
    for parent in ("a", "b"):
        (tmp_path / parent / "first").mkdir(parents=True)
        (tmp_path / parent / "first" / "run.json").write_text("{}")
        names |= {
            run_name(tmp_path / parent / "first"),
            run_name(tmp_path / parent / ".." / parent / "first"),
        }
    assert len(names) == 2 and all(name.startswith("first-") for name in names)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_one_line_before_anything_else(
    name: str,
    config: SearchConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    code, _, err = swarm_llm(capsys, *search_words(config), "--track", name)
    assert code == 2 and err.count("\n") == 1 and f'install the extra "{name}"' in err
    assert not Path(config.out).exists()
