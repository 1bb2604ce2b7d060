"""What the tests of searches share: small tasks, experts that differ, runs to compare, the command
line.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from torch import Tensor

from pyswarmopt_llm.common.config import MODELS, SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.interfaces import Patch

Json = dict[str, Any]
MakeSearch = Callable[..., SearchConfig]  # what the fixtures make_search and words_search are
WORDS = (
    "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch marsh north "
    "ocean pearl"
).split()


def questions(n: int, seed: int, options: int = 4) -> list[Json]:
    """`n` multiple-choice items over random words; the right answers are random too."""
    rng = random.Random(seed)
    return [
        {
            "id": f"{seed}-{i}",
            "question": f"{' '.join(rng.sample(WORDS, 3))} number {seed * 1000 + i}?",
            "choices": dict(zip("ABCDEFGH", rng.sample(WORDS, options), strict=False)),
            "answer": rng.choice("ABCDEFGH"[:options]),
        }
        for i in range(n)
    ]


def write_task(path: Path, dev: Sequence[Json], test: Sequence[Json], **more: Any) -> Path:
    path.write_text(json.dumps({"dev": list(dev), "test": list(test), **more}), encoding="utf-8")
    return path


def louder(experts: Sequence[Path], folder: Path, alpha: float = 48) -> list[Path]:
    """Copies of the experts with a larger LoRA scale, so that they answer differently."""
    copies = []
    for expert in experts:
        copies.append(folder / expert.name)
        shutil.copytree(expert, copies[-1])
        file = copies[-1] / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": alpha}))
    return copies


# one swarm of the paper, and the default procedure in its place
ONE_SWARM: Mapping[str, Any] = {"paper": True, "draws": 1, "space": "factor"}
DEFAULT: Mapping[str, Any] = {"paper": False, "draws": None, "space": "auto"}


def small(
    base: Path | str, experts: Sequence[Path], tasks: Sequence[Path], out: Path | str, **more: Any
) -> SearchConfig:
    """A search of well under a second on the tiny base."""
    procedure = DEFAULT if more.get("method") in MODELS else ONE_SWARM
    settings = {
        **procedure,
        "particles": 5,
        "max_iter": 3,
        "threads": 1,
        "scoring": "likelihood",
        **more,
    }
    return SearchConfig(
        str(base), tuple(map(str, experts)), tuple(map(str, tasks)), str(out), **settings
    )


def history(run: Path) -> list[Json]:
    """The journal without what a clock wrote."""
    lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key != "seconds"}
        for line in lines
    ]


def lasting(result: Mapping[str, Any]) -> Json:
    """``result.json`` without what a clock or the operating system wrote, and without what befell
    its workers.
    """
    passing = ("seconds", "seconds_scoring", "peak_memory_bytes", "workers")
    return {name: value for name, value in result.items() if name not in passing}


def files(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file below `folder`."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def ends_as(run: Path, reference: Path) -> None:
    """Prove that two runs ended alike: same journal, same result, same ``best/`` and checkpoint to
    the bit, but for the path in the card.
    """
    assert history(run) == history(reference)
    results = [
        json.loads((r / "result.json").read_text(encoding="utf-8")) for r in (run, reference)
    ]
    ours, whole = map(lasting, results)
    different = [key for key in {*ours, *whole} if ours.get(key) != whole.get(key)]
    assert not different, {key: (ours.get(key), whole.get(key)) for key in different}
    mine, theirs = files(run / "best"), files(reference / "best")
    assert mine | {"README.md": b""} == theirs | {"README.md": b""}
    saved = files(reference / "checkpoint").keys()
    assert files(run / "checkpoint").keys() == saved
    config = json.loads((reference / "run.json").read_text(encoding="utf-8"))["config"]
    assert bool(saved) == (config["method"] == "swarm")  # else no swarm has a state


def exit_code(*argv: object) -> int:
    """The exit code of ``swarm-llm argv``."""
    from pyswarmopt_llm.cli.app import main

    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in argv])
    return int(ended.value.code or 0)


def swarm_llm(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``swarm-llm argv``."""
    capsys.readouterr()
    code = exit_code(*argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def parse(line: str) -> None:
    """Parse a command of swarm-llm as its own parser does, and run nothing."""
    from pyswarmopt_llm.cli.app import app

    program, *words = shlex.split(line)
    assert program == "swarm-llm"
    group: Any = typer.main.get_command(app)
    outer = group.make_context(program, list(words))
    name, command, rest = group.resolve_command(outer, words)
    command.make_context(name, rest, parent=outer)


class Shell:
    """``swarm-llm`` in this process; see the fixture `shell`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: object) -> str:
        """What a command that ends well prints."""
        code, out, err = swarm_llm(self._capsys, *argv)
        assert code == 0, err
        return out

    def json(self, *argv: object) -> Json:
        found: Json = json.loads(self(*argv, "--json"))
        return found

    def refused(self, *argv: object) -> str:
        """The one line with which a command is refused."""
        code, out, err = swarm_llm(self._capsys, *argv)
        assert (code, out) == (2, "") and err.count("\n") == 1, (code, out, err)
        assert err.startswith("error: ") and len(err) < 2000
        return err


def stop_at(
    number: int = 1, kind: str = "evaluation", error: type[BaseException] = KeyboardInterrupt
) -> Callable[[Event], None]:
    """A listener that ends a search at the `number`-th event of that kind, counted from 1."""
    seen = 0

    def on_event(event: Event) -> None:
        nonlocal seen
        seen += event.kind == kind
        if seen == number and event.kind == kind:
            raise error

    return on_event


def hand_over(monkeypatch: pytest.MonkeyPatch, start: str = "") -> None:
    """What a search found is trained, whatever base and best expert would have; of what is trained
    that from `start` is best, by default that from the mixture, or else from the expert.
    """
    from pyswarmopt_llm.searching import train_on_labels as train

    def best(values: Mapping[str, Any]) -> str:
        return start or ("mixture" if "mixture" in values else "expert")

    monkeypatch.setattr(train, "_untrained", lambda job, found: found.chosen.position)
    monkeypatch.setattr(train, "best_start", best)


def note_trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Of each training from now on the prompts, with their first replies."""
    from pyswarmopt_llm.training import fitting

    trainings: list[dict[str, str]] = []
    once = fitting.fit

    def noted(engine: Any, start: Any, choices: Any, *rest: Any, **named: Any) -> Any:
        trainings.append({item.pairs[0][0]: item.pairs[0][1] for item in choices})
        return once(engine, start, choices, *rest, **named)

    monkeypatch.setattr(fitting, "fit", noted)
    return trainings


def keep_trained(monkeypatch: pytest.MonkeyPatch, kept: Callable[..., bool] | bool = True) -> None:
    """What is trained is handed over, or not, whatever its score on dev is."""
    from pyswarmopt_llm.searching import train_on_labels as train
    from pyswarmopt_llm.searching.written import expert_iteration

    for module in (train, expert_iteration):
        monkeypatch.setattr(module, "not_worse", kept if callable(kept) else lambda *_: kept)


def stopped(config: SearchConfig, number: int = 1, kind: str = "evaluation") -> Path:
    """The run of a search that was stopped at the `number`-th event of that kind."""
    from pyswarmopt_llm.api import search

    with pytest.raises(KeyboardInterrupt):
        search(config, stop_at(number, kind))
    return Path(config.out)


def search_words(config: SearchConfig) -> list[str]:
    """The command line of a configuration made by `small`."""
    words = ["search", "--base", config.base, "--experts", *config.experts]
    for task in config.tasks:
        words += ["--task", task]
    words += ["--out", config.out, "--space", config.space]
    if config.paper:
        words += ["--paper", "--set", f"draws={config.draws}"]
    words += ["--particles", str(config.particles), "--max-iter", str(config.max_iter)]
    words += ["--scoring", config.scoring, "--threads", "1", "--seed", str(config.seed)]
    return [*words, "--quiet"]


class Hull:
    """A space of n experts for `Position`."""

    name = "hull"

    def __init__(self, n: int) -> None:
        self.expert_names = tuple(f"e{i}" for i in range(n))
        self.size = n

    def vertices(self) -> Tensor:
        return torch.eye(self.size, dtype=torch.float64)

    def coefficients(self, position: Tensor) -> Tensor:
        return position

    def realise(self, position: Tensor) -> Patch:
        return Patch(dense={"x": position.clone()})


class Position:
    """An engine that is nothing but the position that was loaded."""

    def load(self, patch: Patch) -> None:
        self.x = patch.dense["x"]
