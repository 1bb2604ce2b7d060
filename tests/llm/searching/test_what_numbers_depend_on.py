"""What a number depends on is kept in a run, and every command that reads or adds numbers looks."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from search_helpers import keep_trained, questions, small, stopped, swarm_llm, write_task

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.use.config import Machine
from pyswarmopt_llm.use.opening import model_of, open_model

DATED = (
    "{% set day = strftime_now('%d %b %Y') %}{{ day }}\n{% for m in messages %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def dated(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose chat template names the day, as those of Llama 3.2 do."""
    base = tmp_path_factory.mktemp("dated") / "base"
    shutil.copytree(tiny_base, base)
    (base / "chat_template.jinja").write_text(DATED)
    return base


@pytest.fixture(scope="module")
def done(dated: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search, with the task and the base beside it."""
    folder = tmp_path_factory.mktemp("done")
    task = write_task(folder / "words.json", questions(6, 1), questions(6, 2))
    base = shutil.copytree(dated, folder / "base")
    config = small(base, tiny_experts, [task], folder / "run", max_iter=1)
    return search(config).run


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """A copy of it, whose base is a copy, too."""
    shutil.copytree(done.parent, tmp_path, dirs_exist_ok=True)
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    about["config"] |= {"base": str(tmp_path / "base"), "tasks": [str(tmp_path / "words.json")]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    return tmp_path / "run"


def test_every_command_tells_a_template_the_same_day(done: Path, dated: Path) -> None:
    """The default of Llama 3's templates, whenever the search began."""
    stored = RunDirectory(done).about.config
    model = model_of(stored.base, str(done))
    assert open_model(model, Machine()).chat("Why?").startswith("26 Jul 2024\n")
    assert prepare(stored).engine.chat("Why?").startswith("26 Jul 2024\n")
    assert open_model((str(dated), None), Machine()).chat("Why?").startswith("26 Jul 2024\n")


def other_template(run: Path) -> None:
    (run.parent / "base" / "chat_template.jinja").write_text(DATED.replace("day }}", "day }}!"))


def other_end(run: Path) -> None:
    (run.parent / "base" / "generation_config.json").write_text('{"eos_token_id": 65}')


def other_adapter(run: Path) -> None:
    file = run / "best" / "adapter_config.json"
    file.write_text(file.read_text().replace('"lora_alpha": ', '"lora_alpha": 1'))


COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "eval": lambda run: ["eval", "--run", run],
    "eval of best": lambda run: ["eval", "--base", run.parent / "base", "--adapter", run / "best"],
    "eval against": lambda run: ["eval", "--run", run, "--against", "base"],
    "generate": lambda run: ["generate", "--run", run, "Why?"],
    "predict": lambda run: [
        "predict",
        "--run",
        run,
        run.parent / "new.jsonl",
        "--out",
        run.parent / "o.csv",
    ],
    "export": lambda run: ["export", run, "--format", "peft", "--out", run.parent / "out"],
    "analyse": lambda run: ["analyse", run],
    "ensemble": lambda run: ["ensemble", "--members", run, "--task", run.parent / "words.json"],
}


@pytest.mark.parametrize("change", [other_template, other_end, other_adapter])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_changed_in_place_is_not_used(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, change: Callable[[Path], None]
) -> None:
    (run.parent / "new.jsonl").write_text(json.dumps(questions(1, 3)[0]))
    change(run)
    words = COMMANDS[name](run)
    if name == "eval of best":
        words += ["--task", run.parent / "words.json"]
    code, _, err = swarm_llm(capsys, *words)
    assert code == 2, err
    said = "best (adapter" if change is other_adapter else "base"
    assert said in err.strip().splitlines()[-1]


def test_a_run_does_not_go_on_with_another_metric(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    """That of the task's file changed: half of the journal would be of another score."""
    rows = [{"question": f"What is {i}?", "answer": str(i)} for i in range(12)]
    task = write_task(tmp_path / "sums.json", rows[:6], rows[6:], metric="exact-match")
    more = {"scoring": "auto", "max_new_tokens": 3}
    path = stopped(small(tiny_base, tiny_experts, [task], tmp_path / "run", **more), 3)
    write_task(task, rows[:6], rows[6:], metric="f1")
    with pytest.raises(UserError, match=r"metrics \(sums\) changed"):
        resume(path)
    write_task(task, rows[:6], rows[6:], metric="exact-match")
    assert resume(path).result["evaluations"] > 3


def test_a_score_on_what_was_trained_on_says_so(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep_trained(monkeypatch)
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(6, 2))
    more = {"space": "delta", "train": "on", "scoring": "likelihood", "max_iter": 1}
    run = search(small(tiny_base, tiny_experts, [task], tmp_path / "run", **more)).run
    best = ["--base", tiny_base, "--adapter", run / "best", "--task", task]
    for words, split in itertools.product((["--run", run], best), ("dev", "test")):
        code, out, err = swarm_llm(capsys, "eval", *words, "--split", split, "--threads", "1")
        assert code == 0 and ("trained on these" in out + err) == (split == "dev")
