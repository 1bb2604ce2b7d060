"""Searches on a model server: as the resident model's, refused where the server cannot, resumed
where it died.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_server import ModelServer
from search_helpers import history, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.evaluation.policy import Policy, make_policy
from pyswarmopt_llm.jobs.evaluate.against import evaluate_against
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.jobs.evaluate.model import evaluate
from pyswarmopt_llm.jobs.evaluate.names import with_run
from pyswarmopt_llm.jobs.search.loop import SearchResult, resume, search
from pyswarmopt_llm.metrics.combine import Combine
from pyswarmopt_llm.models.served import http

Make = Callable[..., SearchConfig]


@pytest.fixture(scope="module")
def config(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """A search by letters over three loud experts, of six evaluations."""
    folder = tmp_path_factory.mktemp("served")
    experts = louder(tiny_experts, folder / "loud")
    task = write_task(folder / "words.json", questions(4, 1), questions(3, 2))
    settings = {
        "space": "delta",
        "dtype": "float32",
        "particles": 3,
        "max_iter": 1,
        "scoring": "letter",
        "test": 0,
    }

    def make(out: str, **more: Any) -> SearchConfig:
        return small(tiny_base, experts, [task], folder / out, **{**settings, **more})

    return make


@pytest.fixture(scope="module")
def reference(config: Make) -> SearchResult:
    """The search on the resident model."""
    return search(config("reference"))


@pytest.fixture
def start(tiny_base: Path, config: Make) -> Iterator[Callable[[str], ModelServer]]:
    servers: list[ModelServer] = []

    def begin(kind: str) -> ModelServer:
        adapters = [Path(path) for path in config("").experts] if kind == "llamacpp" else []
        servers.append(ModelServer(kind, tiny_base, adapters))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_a_search_ends_as_on_the_resident_model(
    kind: str, start: Callable[[str], ModelServer], config: Make, reference: SearchResult
) -> None:
    server = start(kind)
    served = search(config(kind, engine=server.url))
    assert history(served.run) == history(reference.run)
    for name in ("best_dev", "coefficients", "best_single"):
        assert served.result[name] == reference.result[name]
    (note,) = served.result["notes"]
    assert server.url in note and "weight 0 is the base" in note
    assert json.loads((served.run / "run.json").read_text(encoding="utf-8"))["notes"] == {
        "engine": note
    }
    files = [
        (run / "best" / "adapter_model.safetensors").read_bytes()
        for run in (served.run, reference.run)
    ]
    assert files[0] == files[1]
    assert len(server.loaded) <= 1  # the last one is unloaded with the engine
    again = evaluate(with_run(EvalConfig(run=str(served.run), split="dev")))
    assert again.score.value == served.result["best_dev"]
    best = EvalConfig(str(config("").base), config("").tasks[0], str(served.run / "best"))
    alone = evaluate(replace(best, split="dev", engine=server.url))
    assert alone.score.value == served.result["best_dev"]
    expert = EvalConfig(run=str(served.run), split="dev", against=config("").experts[0])
    compared = evaluate_against(with_run(expert))
    assert compared.scores[1].value == served.result["experts"]["dev"]["ant"]


def test_what_a_server_cannot_do_is_refused_in_a_line(
    start: Callable[[str], ModelServer], config: Make
) -> None:
    llama, vllm = start("llamacpp").url, start("vllm").url
    for url, more, message in [
        (
            llama,
            {"scoring": "likelihood"},
            "gives no log-probabilities of texts, by which words is scored",
        ),
        (
            llama,
            {"output_rank": 2},
            "output_rank 2: llama.cpp's server cannot load the truncated adapter",
        ),
        (vllm, {"space": "factor"}, "space factor: a server takes candidates of space delta"),
        (vllm, {"train": "on"}, "nothing is trained through a server"),
        (vllm, {"workers": "2"}, "makes its own batches in one process"),
        ("http://127.0.0.1:port", {}, "not a URL .*; give http://HOST:PORT"),
        ("llama", {}, "engine llama: unknown; use transformers or http://HOST:PORT"),
    ]:
        refused = config("refused", engine=url, **more)
        with pytest.raises(UserError, match=message) as error:
            search(refused)
        assert "\n" not in error.value.text and not Path(refused.out).exists()


@pytest.mark.parametrize("trouble", ["hang", "endless", "die", "404"])
def test_what_is_no_server_is_refused_before_anything_is_written(
    trouble: str, start: Callable[[str], ModelServer], config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HELLO", 0.3)
    server = start("vllm")
    server.trouble = lambda server, path: trouble
    refused = config("refused", engine=server.url)
    unknown = (
        "is not vLLM's server or llama.cpp's"
        if trouble == "404"
        else "no server answers .*; start it first"
    )
    with pytest.raises(UserError, match=unknown) as error:
        search(refused)
    assert "\n" not in error.value.text and not Path(refused.out).exists()


def test_a_vllm_that_loads_nothing_at_run_time(
    start: Callable[[str], ModelServer], config: Make
) -> None:
    server = start("vllm")
    server.trouble = lambda server, path: "404" if "load_lora" in path else ""
    with pytest.raises(UserError, match="start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        search(config("refused", engine=server.url))


@pytest.mark.parametrize("trouble", ["die", "hang"])
def test_a_run_whose_server_dies_is_resumed(
    trouble: str,
    start: Callable[[str], ModelServer],
    config: Make,
    reference: SearchResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = start("vllm")
    dying = config(f"dies-{trouble}", engine=server.url)

    def after_the_experts(server: ModelServer, path: str) -> str:
        loads = sum(path == "/v1/load_lora_adapter" for path, _ in server.requests)
        if loads > 10:  # 7 before the first candidate
            monkeypatch.setattr(http, "TIMEOUT", 0.3)
        return trouble if loads > 10 else ""

    server.trouble = after_the_experts
    monkeypatch.setattr(http, "PATIENCE", 0.0)
    with pytest.raises(
        UserError, match="start the server again at this address and resume the run"
    ):
        search(dying)
    assert len(history(Path(dying.out))) == 3
    server.trouble = lambda server, path: ""
    server.loaded.clear()
    monkeypatch.setattr(http, "TIMEOUT", 60.0)
    assert history(resume(dying.out).run) == history(reference.run)


def test_noise_is_measured_once_and_given_to_the_model_of_the_scores(
    start: Callable[[str], ModelServer], config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    noises: list[bool] = []

    def seen(
        config: SearchConfig, items: Mapping[str, int], combine: Combine, noisy: bool
    ) -> Policy:
        noises.append(noisy)
        return make_policy(config, items, combine, noisy)

    monkeypatch.setattr("pyswarmopt_llm.jobs.search.loop.make_policy", seen)
    server = start("vllm")
    server.noise = 0.001
    noisy = config("noisy", engine=server.url)
    result = search(noisy).result
    assert "as noise, intervals over items contain it" in result["notes"][0]
    noise = json.loads((Path(noisy.out) / "run.json").read_text(encoding="utf-8"))["noise"]
    assert 0.0 < noise < 0.05
    (Path(noisy.out) / "result.json").unlink()
    server.noise = 0.0
    assert resume(noisy.out).result["notes"] == result["notes"]
    search(config("exact", engine=server.url))
    assert noises == [True, True, False]


def test_the_command_line(
    start: Callable[[str], ModelServer],
    config: Make,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    server, commanded = start("vllm"), config("commanded")
    words = [
        "search",
        "--base",
        commanded.base,
        "--experts",
        *commanded.experts,
        "--task",
        *commanded.tasks,
        "--out",
        commanded.out,
    ]
    words += ["--engine", server.url, "--server-folder", tmp_path, "--server-slots", "2", "--quiet"]
    code, _, err = swarm_llm(capsys, *words)
    assert code == 0, err
    result = json.loads((Path(commanded.out) / "result.json").read_text(encoding="utf-8"))
    assert (
        result["space"] == "delta"
        and "passes_rivals" not in result
        and result["stop"].keys() == {"proposals"}
    )
    loaded = [
        body["lora_path"] for path, body in server.requests if path == "/v1/load_lora_adapter"
    ]
    assert loaded and all(path.startswith(str(tmp_path)) for path in loaded)


def test_commands_of_a_served_run_use_the_same_server(
    start: Callable[[str], ModelServer],
    config: Make,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    server = start("vllm")
    run = str(search(config("asked", engine=server.url)).run)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({k: questions(1, 7)[0][k] for k in ("question", "choices")}) + "\n")
    commands: list[list[str]] = [
        ["eval", "--run", run, "--split", "dev"],
        ["generate", "--run", run, "Name a colour.", "--max-new-tokens", "4"],
        ["predict", "--run", run, str(rows), "--out", str(tmp_path / "labelled.jsonl")],
    ]

    def completions() -> int:
        return sum(path == "/v1/completions" for path, _ in server.requests)

    for words in commands:
        requests = completions()
        code, there, err = swarm_llm(capsys, *words)
        assert code == 0, err
        assert f"runs on the server at {server.url} (here: --engine transformers)" in err
        assert completions() > requests
        requests = completions()
        (tmp_path / "labelled.jsonl").unlink(missing_ok=True)
        code, here, err = swarm_llm(capsys, *words, "--engine", "transformers")
        assert (code, completions()) == (0, requests), err
        assert server.url not in err and there == here
    server.ignores_adapters = True
    code, _, err = swarm_llm(capsys, *commands[0])
    assert code == 2 and "best gives what the base gives: it is not applied" in err
    code, _, err = swarm_llm(capsys, *commands[1], "--engine", "llama")
    assert code == 2 and "--engine llama: unknown; use transformers or http://HOST:PORT" in err
