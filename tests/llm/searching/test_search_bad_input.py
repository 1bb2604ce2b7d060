"""Wrong input ends with exit code 2 and one line that names the place and the remedy; nothing is
written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from search_helpers import files, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.loop import search


@pytest.fixture(autouse=True)
def place(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory with experts/ant, bee, cat and words.json, whose files a test can damage."""
    monkeypatch.chdir(tmp_path)
    louder(tiny_experts, tmp_path / "experts")
    write_task(Path("words.json"), questions(4, 1), questions(4, 2))
    return tmp_path


def words(tiny_base: Path, /, **changes: Any) -> list[str]:
    """A command line that works, but for the options in `changes` (a list repeats the option)."""
    options: dict[str, Any] = {
        "base": tiny_base,
        "experts": ["experts/ant", "experts/bee", "experts/cat"],
        "task": "words.json",
        "out": "run",
        "particles": 4,
        "max-iter": 1,
        "threads": 1,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    found = ["search", "--quiet"]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            found += [f"--{name}", str(one)]
    return found


Refused = Callable[..., str]


@pytest.fixture
def refused(tiny_base: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run the command; prove that it was refused in one line, without a trace on the disk; return
    the line.
    """

    def check(**changes: Any) -> str:
        before = files(place)
        folders = sorted(place.rglob("*"))
        code, out, err = swarm_llm(capsys, *words(tiny_base, **changes))
        assert code == 2, err
        assert out == ""
        assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
        assert files(place) == before and sorted(place.rglob("*")) == folders
        return err

    return check


def test_the_command_that_the_others_spoil_is_right(
    tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = swarm_llm(capsys, *words(tiny_base))
    assert (code, err) == (0, "")
    assert Path("run/result.json").is_file()


# Experts

WEIGHTS = Path("experts/bee/adapter_model.safetensors")
CONFIG = Path("experts/bee/adapter_config.json")


def other_shape(tiny_base: Path) -> None:
    """Every expert, so that they agree with each other and not with the base."""
    for name in ("ant", "bee", "cat"):
        file = Path("experts") / name / "adapter_model.safetensors"
        tensors = safetensors.torch.load_file(file)
        wider = {k: torch.cat([v, v], dim=1) if "lora_A" in k else v for k, v in tensors.items()}
        safetensors.torch.save_file(wider, file)


def nan_weights(tiny_base: Path) -> None:
    tensors = safetensors.torch.load_file(WEIGHTS)
    next(iter(tensors.values()))[0, 0] = float("nan")
    safetensors.torch.save_file(tensors, WEIGHTS)


def test_an_optimizer_that_refuses_its_coefficients_leaves_nothing_behind(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(2, 2))
    config = small(tiny_base, tiny_experts, [task], tmp_path / "run", optimizer="nevergrad:DS9")
    with pytest.raises(UserError, match="DS9"):
        search(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda base: shutil.rmtree("experts/bee"), ["experts/bee", "no such directory"]),
        (lambda base: CONFIG.write_text('{\n"r": 4,\n'), ["bee/adapter_config.json", "line 3"]),
        (nan_weights, ["bee/adapter_model.safetensors", "NaN", "again"]),
        (other_shape, ["ant", "shape", "remove it"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_expert_that_cannot_be_used(
    damage: Callable[[Path], object], named: Sequence[str], refused: Refused, tiny_base: Path
) -> None:
    damage(tiny_base)
    line = refused()
    for word in named:
        assert word in line


@pytest.mark.parametrize("space", ["token", "graph"])
def test_a_function_of_one_model_is_no_objective_for_several(
    space: str,
    refused: Refused,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = tmp_path_factory.mktemp("code")  # where the import may leave bytecode
    (code / "mine_alone.py").write_text("def calm(engine):\n    return 1.0\n")
    monkeypatch.syspath_prepend(code)
    models = (str(code), str(code))
    config = SearchConfig("", models, (), "r", utilities=("mine_alone:calm",), space=space)
    with pytest.raises(UserError, match=f"space {space}: calm scores one model, not several"):
        search(config)


def test_too_few_experts(refused: Refused, tiny_base: Path) -> None:
    assert "at least 2" in refused(experts=["experts/ant"])
    with pytest.raises(UserError, match="experts: 0 given"):
        search(small(tiny_base, [], [Path("words.json")], "run"))


# Tasks


ITEM = questions(1, 7)[0]


def test_a_task_with_something_wrong(refused: Refused) -> None:
    write_task(Path("words.json"), [*questions(3, 1), {**ITEM, "answer": "F"}], questions(2, 2))
    line = refused()
    assert "words.json: dev item 4" in line and "not among the choices" in line
    write_task(Path("words.json"), questions(4, 1), questions(4, 1))
    assert "4 dev items are also in test" in (line := refused()) and "--set allow-overlap" in line


@pytest.mark.parametrize(("scoring", "split"), [("letter", "dev"), ("likelihood", "test")])
def test_items_without_choices_need_generate(scoring: str, split: str, refused: Refused) -> None:
    plain = [{"id": "odd", "question": "What is two and two?", "answer": "four"}]
    splits = {"dev": questions(3, 1), "test": questions(3, 2), split: [*questions(2, 3), *plain]}
    write_task(Path("words.json"), splits["dev"], splits["test"])
    line = refused(scoring=scoring)
    for word in ("words.json", f"{split} item odd", "no choices", "--scoring generate"):
        assert word in line


@pytest.mark.parametrize(
    ("scoring", "split"), [("auto", "dev"), ("letter", "test"), ("generate", "dev")]
)
def test_an_item_that_is_longer_than_the_context(
    scoring: str, split: str, refused: Refused
) -> None:
    # one token per byte, a window of 1,024
    long = {**ITEM, "id": "long", "question": "word " * 210}
    splits = {"dev": questions(3, 1), "test": questions(3, 2), split: [*questions(2, 3), long]}
    write_task(Path("words.json"), splits["dev"], splits["test"])
    line = refused(scoring=scoring)
    for word in ("words.json", f"{split} item long", "tokens", "1024", "shorten"):
        assert word in line


def test_the_longest_item_that_fits_is_not_refused(
    tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fits(length: int) -> bool:
        shutil.rmtree("run", ignore_errors=True)
        item = {**ITEM, "question": "a" * length, "choices": {"A": "x", "B": "y"}, "answer": "A"}
        write_task(Path("words.json"), [item], questions(2, 2))
        code, _, err = swarm_llm(capsys, *words(tiny_base, scoring="likelihood"))
        assert code == 0 or ("tokens" in err and not Path("run").exists())
        return code == 0

    # The template: one special token, "user\nQuestion: ", the text, one, "\n", one, "assistant\n",
    # the option.
    overhead = 1 + len("user\nQuestion: ") + 1 + 1 + 1 + len("assistant\n") + 1
    assert fits(1024 - overhead)
    assert not fits(1024 - overhead + 1)


# Options


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("space", "facto", "did you mean factor"),
        ("space", "tokn", "did you mean token"),
        ("optimizer", "simulated-annealing", "--optimizer simulated-annealing"),
        ("scoring", "letters", "--scoring letters"),
        ("compat", "papers", "--compat papers"),
        ("dtype", "int4", "--dtype int4"),
        ("device", "abacus", "--device abacus"),
        ("seed", 2**63, "--seed"),
        ("particles", 0, "--particles"),
        ("base", "absent", "absent: no such directory"),
    ],
)
def test_an_unknown_setting(option: str, value: object, named: str, refused: Refused) -> None:
    line = refused(**{option: value})
    assert named in line


# What is there already


def test_a_finished_run_is_not_overwritten(
    tiny_base: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swarm_llm(capsys, *words(tiny_base))[0] == 0
    line = refused()
    assert "run: holds a run already" in line and "swarm-llm resume run" in line and "--out" in line


@pytest.mark.parametrize("what", ["file", "directory"])
def test_other_things_at_out_are_not_overwritten(what: str, refused: Refused) -> None:
    if what == "file":
        Path("run").write_text("mine")
    else:
        Path("run").mkdir()
        Path("run/notes.txt").write_text("mine")
    assert "run: exists and is not empty" in refused()


def test_an_out_that_cannot_be_made(refused: Refused) -> None:
    Path("file").write_text("")
    assert "file/run" in refused(out="file/run")
    assert "choose another" in refused(out="x" * 300)
