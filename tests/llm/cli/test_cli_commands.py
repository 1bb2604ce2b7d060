"""eval, generate, merge and train-expert: what they pass on and what they print."""

from __future__ import annotations

import importlib
import json
import shlex
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_helpers import exit_code

from pyswarmopt_llm.cli.app import main
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.searching.training.examples import load_examples, read_examples
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_rivals.merge import MergeConfig

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Any], Calls]:
    """Replace a function of a module by one that notes its calls and returns what it is told."""

    def put(module: str, function: str, value: Any) -> Calls:
        calls: Calls = []

        def record(*args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            return value

        monkeypatch.setattr("pyswarmopt_llm.cli.evaluate.check_files", lambda config, specs: None)
        monkeypatch.setattr(importlib.import_module(module), function, record)
        return calls

    return put


EVALUATED = types.SimpleNamespace(
    note="",
    score=Score(0.61, (), 500, 0.02),
    interval=(0.57, 0.65),
    scoring="likelihood",
    n=500,
    task="science",
    metric="accuracy",
)


def test_eval_prints_score_and_interval(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    calls = fake("pyswarmopt_llm.searching.use.model", "evaluate", EVALUATED)
    assert (
        exit_code(
            *"eval --base B --adapter A --task T --split dev --dev 9 --scoring letter".split()
        )
        == 0
    )
    (((config, _), _),) = calls
    assert config == EvalConfig("B", "T", "A", split="dev", dev=9, scoring="letter")
    out = capsys.readouterr().out
    for word in ("science dev", "0.610", "0.570", "0.650", "500 examples", "likelihood"):
        assert word in out


@pytest.mark.parametrize(("more", "said"), [("", "few items\n"), ("--quiet", "")])
def test_eval_prints_its_note_unless_it_is_quiet(
    more: str, said: str, fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = types.SimpleNamespace(**{**vars(EVALUATED), "note": "few items"})
    fake("pyswarmopt_llm.searching.use.model", "evaluate", noted)
    assert exit_code(*f"eval --base B --task T {more}".split()) == 0
    assert capsys.readouterr().err == said


MERGED = types.SimpleNamespace(
    note="", space="delta", ranks=(2, 24), loss=lambda: "nothing was cut"
)


def test_merge_passes_on_every_expert_and_option(
    fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = fake("pyswarmopt_rivals.merge", "merge", MERGED)
    words = (
        "merge --base B --experts x y --method ties --space delta --weights -0.5,2 --density "
        ".1 --rank 24 --out O"
    )
    assert exit_code(*words.split()) == 0
    asked = {"method": "ties", "space": "delta", "weights": "-0.5,2", "density": 0.1, "rank": 24}
    assert calls == [((MergeConfig("B", ("x", "y"), "O", **asked),), {})]
    told = "wrote O: ties of 2 experts (delta space), rank 2, 24; nothing was cut\n"
    assert capsys.readouterr().out == told


def merge_words(tiny_base: Path, experts: list[Path], out: Path, *more: str) -> list[str]:
    names = map(str, experts)
    return ["merge", "--base", str(tiny_base), "--experts", *names, "--out", str(out), *more]


def test_a_merge_is_an_adapter_with_a_card_that_makes_it_again(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = merge_words(
        tiny_base, tiny_experts, tmp_path / "one", "--method", "della", "--rank", "3", "--seed", "5"
    )
    assert exit_code(*first) == 0
    told = capsys.readouterr().out
    assert "rank 3; the method's result is of higher rank: the cut lost " in told
    card = (tmp_path / "one" / "README.md").read_text()
    assert told.split("; ")[1].split(" (most")[0] in card
    for words in (
        "arXiv 2406.11617",
        "delta space",
        "density 0.5",
        "seed 5",
        "| ant | 1 |",
        "| cat | 1 |",
    ):
        assert words in card
    command = shlex.split(
        next(line for line in card.splitlines() if line.startswith("    swarm-llm"))
    )
    again = [str(tmp_path / "two") if word == "ADAPTER" else word for word in command[1:]]
    assert exit_code(*again) == 0
    weights = [
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")
    ]
    assert weights[0] == weights[1]


def test_examples_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    # U+2028 ends a line for str.splitlines, but not in JSON.
    path.write_text(
        '{"messages": [1]}\n\n{"messages": [2]}\n{"messages": ["\u2028"]}\n', encoding="utf-8"
    )
    assert [example["messages"] for example in read_examples(path)] == [[1], [2], ["\u2028"]]
    assert load_examples(str(path), 2, seed=0) == [{"messages": [1]}, {"messages": [2]}]


def test_generated_examples_have_the_number_and_the_seed_asked_for() -> None:
    first = load_examples("builtin:dates", 5, seed=1)
    assert len(first) == 5
    assert first == load_examples("builtin:dates", 5, seed=1)
    assert first != load_examples("builtin:dates", 5, seed=2)


def test_train_expert_takes_so_many_examples_of_each_source(
    tiny_base: Path, tmp_path: Path
) -> None:
    line = json.dumps(
        {"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]}
    )
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(f"{line}\n" * 6)
    words = (
        f"train-expert --base {tiny_base} --data {tmp_path / 'one.jsonl'} --data "
        f"{tmp_path / 'two.jsonl'}"
    )
    words += f" --examples 5 --rank 2 --max-tokens 50 --threads 1 --quiet --out {tmp_path / 'out'}"
    with pytest.raises(SystemExit) as exit_info:
        main(words.split())
    assert not exit_info.value.code
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{tmp_path / 'one.jsonl'}, 5 examples; {tmp_path / 'two.jsonl'}, 5 examples" in card
    assert "8 training examples, 2 held out" in card  # a fifth of the ten
