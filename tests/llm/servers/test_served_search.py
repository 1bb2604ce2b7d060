"""Searches on a model server: as the resident model's, refused where the server cannot, resumed
where it died.
"""

from __future__ import annotations

import gc
import html
import json
import math
import shutil
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_server import ModelServer
from search_helpers import DEFAULT, files, history, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files import http
from pyswarmopt_llm.report.run import SearchResult, resume, search
from pyswarmopt_llm.searching.use.against import evaluate_against
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.evaluate import evaluate
from pyswarmopt_llm.searching.use.from_run import with_run
from pyswarmopt_llm.servers.engine import KEY

Make = Callable[..., SearchConfig]
WEIGHTS = "adapter_model.safetensors"


def new_rows(folder: Path) -> Path:
    """A file with a question to be answered."""
    (row,) = questions(1, 7)
    file = folder / "rows.jsonl"
    file.write_text(json.dumps({key: row[key] for key in ("question", "choices")}) + "\n")
    return file


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
    assert server.url in note and "weight 0" in note
    assert json.loads((served.run / "run.json").read_text(encoding="utf-8"))["notes"] == {
        "engine": note
    }
    assert files(served.run / "best")[WEIGHTS] == files(reference.run / "best")[WEIGHTS]
    assert len(server.loaded) <= 1  # the last one is unloaded with the engine
    of_run = EvalConfig(run=str(served.run), split="dev", engine=server.url)
    again = evaluate(with_run(of_run))
    assert again.score.value == served.result["best_dev"]
    best = EvalConfig(str(config("").base), config("").tasks[0], str(served.run / "best"))
    alone = evaluate(replace(best, split="dev", engine=server.url))
    assert alone.score.value == served.result["best_dev"]
    expert = replace(of_run, against=config("").experts[0])
    compared = evaluate_against(with_run(expert))
    assert compared.results[1].score.value == served.result["experts"]["ant"]["dev"]["value"]


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
        (vllm, {"space": "factor"}, "space factor: a server takes candidates of space delta"),
        (vllm, {"train": "on"}, "train on: goes with one worker and `?engine"),
        (vllm, {"workers": "2"}, "makes its own batches in one process"),
        ("http://127.0.0.1:port", {}, "not a URL .*; give http://HOST:PORT"),
        ("llama", {}, "engine llama: unknown; use transformers or http://HOST:PORT"),
    ]:
        refused = config("refused", engine=url, **more)
        with pytest.raises(UserError, match=message) as error:
            search(refused)
        assert "\n" not in error.value.text and not Path(refused.out).exists()


@pytest.mark.parametrize(
    ("trouble", "path", "message"),
    [
        *(
            (trouble, "/", "does not answer .*; start it first")
            for trouble in ("hang", "endless", "die")
        ),
        ("404", "/", "is not vLLM's server or llama.cpp's"),
        ("404", "/v1/load_lora", "start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
    ],
)
def test_what_is_no_such_server_is_refused_before_anything_is_written(
    trouble: str,
    path: str,
    message: str,
    start: Callable[[str], ModelServer],
    config: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trouble in ("hang", "endless"):
        monkeypatch.setattr(http, "HELLO", 0.3)
    server = start("vllm")
    server.trouble = lambda server, asked: trouble if asked.startswith(path) else ""
    refused = config("refused", engine=server.url)
    with pytest.raises(UserError, match=message) as error:
        search(refused)
    assert "\n" not in error.value.text and not Path(refused.out).exists()


def test_a_run_whose_server_dies_is_resumed(
    start: Callable[[str], ModelServer],
    config: Make,
    reference: SearchResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = start("vllm")
    dying = config("dies", engine=server.url)

    def after_the_experts(server: ModelServer, path: str) -> str:
        loads = sum(path == "/v1/load_lora_adapter" for path, _ in server.requests)
        return "die" if loads > 8 else ""  # 5 before the first candidate

    server.trouble = after_the_experts
    monkeypatch.setattr(http, "PATIENCE", 0.0)
    with pytest.raises(UserError, match="again at this address"):
        search(dying)
    assert len(history(Path(dying.out))) == 3
    server.trouble = lambda server, path: ""
    server.loaded.clear()
    assert history(resume(dying.out, allowed=[server.url]).run) == history(reference.run)


def test_noise_is_measured_once_and_given_to_the_model_of_the_scores(
    start: Callable[[str], ModelServer], config: Make, noises: list[bool]
) -> None:
    server = start("vllm")
    server.noise = 0.001
    proposing: dict[str, Any] = {**DEFAULT, "max_iter": None, "proposals": 2}
    proposing["method"] = "scores"
    noisy = config("noisy", engine=server.url, **proposing)
    result = search(noisy).result
    assert "as noise" in result["notes"][0]
    noise = json.loads((Path(noisy.out) / "run.json").read_text(encoding="utf-8"))["noise"]
    assert 0.0 < noise < 0.05
    (Path(noisy.out) / "result.json").unlink()
    server.noise = 0.0
    resumed = resume(noisy.out, allowed=[server.url])
    assert resumed.result["notes"] == result["notes"]
    exact = search(config("exact", engine=server.url, **proposing))
    assert noises == [True, True, False] and "agrees bit for bit" in exact.result["notes"][0]
    (exact.run / "result.json").unlink()
    server.noise = 0.001
    notes = resume(exact.run, allowed=[server.url]).result["notes"]
    assert any("answered bit for bit" in n for n in notes)


def test_a_run_is_not_resumed_on_another_base(
    start: Callable[[str], ModelServer], config: Make
) -> None:
    server = start("llamacpp")
    run = search(config("moved", engine=server.url)).run
    (run / "result.json").unlink()
    journal = history(run)
    server.restarted(1.2)
    with pytest.raises(UserError, match="scores the first examples otherwise"):
        resume(run, allowed=[server.url])
    assert history(run) == journal


def test_a_number_that_is_none_names_its_candidate(
    start: Callable[[str], ModelServer], config: Make
) -> None:
    server = start("vllm")

    def overflows(server: ModelServer, path: str) -> str:
        if sum(path == "/v1/load_lora_adapter" for path, _ in server.requests) > 8:
            server.said = [math.nan]
        return ""

    server.trouble = overflows
    refused = config("overflows", engine=server.url)
    with pytest.raises(
        UserError, match=r"particle \d, iteration \d: vLLM .* gives nan for"
    ) as error:
        search(refused)
    assert "\n" not in error.value.text
    assert all(0 <= row["value"] <= 1 for row in history(Path(refused.out)))


def test_commands_of_a_served_run_use_the_server_that_is_named(
    start: Callable[[str], ModelServer],
    config: Make,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    server = start("vllm")
    run = str(search(config("asked", engine=server.url)).run)
    rows = new_rows(tmp_path)
    commands: list[list[str]] = [
        ["eval", "--run", run, "--split", "dev"],
        ["generate", "--run", run, "Name a colour.", "--max-new-tokens", "4"],
        ["predict", "--run", run, str(rows), "--out", str(tmp_path / "labelled.jsonl")],
    ]

    def completions() -> int:
        return sum(path == "/v1/completions" for path, _ in server.requests)

    for words in commands:
        requests = completions()
        code, there, err = swarm_llm(capsys, *words, "--engine", server.url)
        assert code == 0, err
        assert f"{server.url} (here: --engine transformers)" in err
        assert completions() > requests
        requests = completions()
        (tmp_path / "labelled.jsonl").unlink(missing_ok=True)
        code, here, err = swarm_llm(capsys, *words, "--engine", "transformers")
        assert (code, completions()) == (0, requests), err
        assert server.url not in err and there == here
    server.ignores_adapters = True
    code, _, err = swarm_llm(capsys, *commands[0], "--engine", server.url)
    assert code == 2 and "it is not applied" in err
    code, _, err = swarm_llm(capsys, *commands[1], "--engine", "llama")
    assert code == 2 and "--engine llama: unknown" in err


@pytest.fixture
def strangers(start: Callable[[str], ModelServer], config: Make) -> tuple[ModelServer, Path, Path]:
    """A server, a finished run on it that names a folder, and that folder."""
    server = start("vllm")
    folder = Path(config("").out) / "theirs"
    folder.mkdir(parents=True, exist_ok=True)
    run = Path(config(f"strangers-{server.port}").out)
    search(config(run.name, engine=server.url, server_folder=str(folder)))
    # Its engine unloads its candidate when it is collected, with the key that it began with: none.
    gc.collect()
    server.requests.clear()
    server.keys.clear()
    return server, run, folder


def test_a_strangers_run_does_not_choose_the_server_or_the_folder(
    strangers: tuple[ModelServer, Path, Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    environ: MutableMapping[str, str],
) -> None:
    server, run, folder = strangers
    environ[KEY] = "sk-mine"
    rows = new_rows(tmp_path)
    commands = [
        ["eval", "--run", run, "--split", "dev"],
        ["generate", "--run", run, "Name a colour.", "--max-new-tokens", "2"],
        ["predict", "--run", run, rows, "--out", tmp_path / "labelled.jsonl"],
        ["analyse", run, "--out", tmp_path / "analysis"],
        ["resume", run],
    ]
    (run / "result.json").rename(tmp_path / "result.json")
    for words in commands:
        if words[0] != "resume":
            shutil.copy(tmp_path / "result.json", run)
        code, _, err = swarm_llm(capsys, *words)
        assert code == 2 and err.count("\n") == 1 and f"add --engine {server.url}" in err
        (run / "result.json").unlink(missing_ok=True)
    assert not server.requests and not (tmp_path / "labelled.jsonl").exists()
    for words in commands[3:]:
        shutil.copy(tmp_path / "result.json", run)
        if words[0] == "resume":
            (run / "result.json").unlink()
        code, _, err = swarm_llm(capsys, *words, "--engine", server.url)
        assert code == 2 and err.endswith(f"add --server-folder {folder}\n")
    assert not server.requests
    shutil.copy(tmp_path / "result.json", run)
    code, _, err = swarm_llm(capsys, *commands[0], "--engine", server.url)
    assert code == 0 and server.keys == {"Bearer sk-mine"}, err
    loaded = [body["lora_path"] for path, body in server.requests if "/load_lora" in path]
    assert loaded and not any(path.startswith(str(folder)) for path in loaded)
    server.requests.clear()
    mine = tmp_path / "mine"
    mine.mkdir()
    code, _, err = swarm_llm(capsys, *commands[0], "--engine", server.url, "--server-folder", mine)
    loaded = [body["lora_path"] for path, body in server.requests if "/load_lora" in path]
    assert code == 0 and loaded and all(path.startswith(str(mine)) for path in loaded), err


def test_a_result_on_a_server_says_commands_that_name_it(
    strangers: tuple[ModelServer, Path, Path],
) -> None:
    server, run, folder = strangers
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    steps = [
        line
        for line in page.splitlines()
        if "swarm-llm eval" in line or "swarm-llm predict" in line
    ]
    named = f"--engine {server.url} --server-folder {folder}"
    assert steps and all(named in line for line in steps)


def test_a_secret_in_the_url_is_refused_and_stands_nowhere(
    config: Make,
    strangers: tuple[ModelServer, Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, run, _ = strangers
    for secret in ("http://me:hush@{}", "http://{}/?key=hush", "http://{}#hush"):
        url = secret.format(f"127.0.0.1:{server.port}")
        refused = config("secret", engine=url)
        with pytest.raises(UserError, match="such as SWARM_LLM_SERVER_KEY") as error:
            search(refused)
        assert "hush" not in error.value.text and not Path(refused.out).exists()
        for words in (["eval", "--run", run], ["generate", "--run", run, "Hi"]):
            code, out, err = swarm_llm(capsys, *words, "--engine", url)
            assert code == 2 and err.count("\n") == 1 and "hush" not in out + err
    assert not server.requests
