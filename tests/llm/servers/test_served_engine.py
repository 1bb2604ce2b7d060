"""The engine on a model server: the same numbers as the resident model, on both protocols."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from model_server import ModelServer
from search_helpers import small

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterFile, AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.servers import http
from pyswarmopt_llm.servers.attach import attach, examine
from pyswarmopt_llm.servers.engine import ServedEngine
from pyswarmopt_llm.servers.llamacpp import _norms_of_file
from pyswarmopt_llm.tools.export.gguf_file import Layout, write_lora
from pyswarmopt_llm.tools.export.source import find_source

TEXTS = [("amber birch", " cedar"), ("delta", " ember fjord"), ("grove?", " heath")]
LETTERS = [("amber birch", "A"), ("amber birch", "B"), ("delta", "A"), ("delta", "C")]
Start = Callable[..., ModelServer]


@pytest.fixture
def start(tiny_base: Path, tiny_experts: list[Path]) -> Iterator[Start]:
    servers: list[ModelServer] = []

    def begin(kind: str, adapters: list[Path] | None = None) -> ModelServer:
        files = (tiny_experts if adapters is None else adapters) if kind == "llamacpp" else []
        servers.append(ModelServer(kind, tiny_base, files))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def experts(tiny_base: Path, tiny_experts: list[Path]) -> tuple[AdapterInfo, ...]:
    return inspect_experts(
        [str(path) for path in tiny_experts], resolve_base(str(tiny_base))
    ).experts


@pytest.fixture(scope="module")
def space(experts: tuple[AdapterInfo, ...]) -> DeltaSpace:
    return DeltaSpace([AdapterFile(info) for info in experts])


@pytest.fixture(scope="module")
def resident(tiny_base: Path) -> TransformersEngine:
    return load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)


@pytest.fixture
def connect(tiny_base: Path, experts: tuple[AdapterInfo, ...]) -> Callable[..., ServedEngine]:
    def to(server: ModelServer, **more: Any) -> ServedEngine:
        config = small(
            tiny_base, [info.path for info in experts], [], "run", engine=server.url, **more
        )
        return attach(config, resolve_base(str(tiny_base), weights=False), lambda: experts)

    return to


def mixture(space: DeltaSpace, *weights: float) -> Patch:
    return space.realise(torch.tensor(weights, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_it_answers_as_the_resident_model_does(
    kind: str,
    start: Start,
    connect: Callable[..., ServedEngine],
    space: DeltaSpace,
    resident: TransformersEngine,
) -> None:
    engine = connect(start(kind))
    pairs = LETTERS if kind == "llamacpp" else [*TEXTS, *LETTERS]
    prompts = [resident.chat(context) for context, _ in TEXTS]
    assert prompts == [engine.chat(context) for context, _ in TEXTS] and engine.window == 512
    for patch in (Patch(), mixture(space, 1.0, 0.0, 0.0), mixture(space, 0.7, -0.4, 1.2), Patch()):
        engine.load(patch)
        resident.load(patch)
        torch.testing.assert_close(
            engine.loglikelihood(pairs), resident.loglikelihood(pairs), rtol=0, atol=1e-3
        )
        assert engine.generate(prompts, 8) == resident.generate(prompts, 8)


def test_letters_of_a_vllm_without_logprob_token_ids(
    start: Start, connect: Callable[..., ServedEngine], resident: TransformersEngine
) -> None:
    server = start("vllm")
    server.knows_token_ids = False
    resident.load(Patch())
    torch.testing.assert_close(
        connect(server).loglikelihood(LETTERS), resident.loglikelihood(LETTERS), atol=1e-3, rtol=0
    )
    assert any("prompt_logprobs" in body for _, body in server.requests)


def test_a_restarted_server_gets_the_candidate_again_and_loses_it_at_the_end(
    start: Start,
    connect: Callable[..., ServedEngine],
    space: DeltaSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server = start("vllm")
    engine = connect(server, server_folder=str(tmp_path))
    engine.load(mixture(space, 0.5, 0.0, 0.0))
    before = engine.loglikelihood(TEXTS)
    server.loaded.clear()
    troubles = iter(["503", "die"])
    server.trouble = lambda server, path: next(troubles, "")
    assert engine.loglikelihood(TEXTS) == before
    assert len(server.loaded) == 1 == len(list(tmp_path.iterdir()))
    engine.leave()
    assert not server.loaded and not list(tmp_path.iterdir())


def test_a_server_says_when_to_come_again(
    start: Start, connect: Callable[..., ServedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    server = start("vllm")
    engine = connect(server)
    troubles = iter(["503", "429", "503", "503"])
    server.trouble = lambda server, path: next(troubles, "")
    engine.loglikelihood(TEXTS)
    assert waits == [1.0, 7.0, 4.0, 8.0]
    server.trouble = lambda server, path: "429"
    monkeypatch.setattr(http, "PATIENCE", 6.0)
    with pytest.raises(UserError, match=r"status 429, to be repeated after 7 s: trouble") as error:
        engine.loglikelihood(TEXTS)
    assert "\n" not in error.value.text and "resume the run" in error.value.text
    server.trouble = lambda server, path: "html"
    with pytest.raises(UserError, match=r"/v1/completions answers no JSON \('<html>proxy'\); is"):
        engine.loglikelihood(TEXTS)


def test_a_folder_that_the_server_does_not_see(
    start: Start, connect: Callable[..., ServedEngine], space: DeltaSpace, tmp_path: Path
) -> None:
    server = start("vllm")
    server.trouble = lambda server, path: "500" if "load_lora" in path else ""
    engine = connect(server, server_folder=str(tmp_path))
    with pytest.raises(
        UserError,
        match=(
            r"load_lora_adapter refuses \(status 500: trouble\); does it see .* "
            r"\(server_folder\)"
        ),
    ):
        engine.load(mixture(space, 0.5, 0.0, 0.0))
    assert not list(tmp_path.iterdir())
    with pytest.raises(
        UserError, match="none: no such directory; create it where the server sees it"
    ):
        connect(server, server_folder=str(tmp_path / "none"))


def test_the_key_comes_from_the_environment(
    start: Start, connect: Callable[..., ServedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("vllm")
    server.key = "secret"
    with pytest.raises(UserError, match=r"Unauthorized.*set SWARM_LLM_SERVER_KEY to its key"):
        connect(server)
    monkeypatch.setenv(http.KEY, "secret")
    assert "vLLM 0.30.0" in connect(server).server.name


# Numbers that are none


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 0.5, True, "-1.5", None, [], 10**400]
)
@pytest.mark.parametrize(
    ("kind", "pairs"), [("vllm", TEXTS), ("vllm", LETTERS), ("llamacpp", LETTERS)]
)
def test_what_is_no_log_probability_is_no_score(
    kind: str,
    pairs: list[tuple[str, str]],
    value: object,
    servers: dict[str, tuple[ModelServer, ServedEngine]],
    space: DeltaSpace,
) -> None:
    server, engine = servers[kind]
    server.said.append(value)
    try:
        engine.load(mixture(space, 0.5, 0.2, 0.0))
        with pytest.raises(NotFiniteError, match="for a log-probability; its weights") as error:
            engine.loglikelihood(pairs)
    finally:
        server.said.clear()
    assert error.value.text.startswith(f"{engine.server.name} gives {str(value)[:40]}")
    engine.load(mixture(space, 0.5, 0.2, 0.0))
    assert all(number < 0 for number in engine.loglikelihood(pairs))


@pytest.fixture(scope="module")
def servers(
    tiny_base: Path, tiny_experts: list[Path], experts: tuple[AdapterInfo, ...]
) -> Iterator[dict[str, tuple[ModelServer, ServedEngine]]]:
    """One server and engine of each kind."""
    pairs = {}
    for kind in ("vllm", "llamacpp"):
        server = ModelServer(kind, tiny_base, tiny_experts if kind == "llamacpp" else [])
        config = small(tiny_base, tiny_experts, [], "run", engine=server.url)
        base = resolve_base(str(tiny_base), weights=False)
        pairs[kind] = server, attach(config, base, lambda: experts)
    yield pairs
    for server, _ in pairs.values():
        server.stop()


def test_a_letter_that_llamacpp_does_not_list_is_no_answer(
    start: Start, connect: Callable[..., ServedEngine], resident: TransformersEngine
) -> None:
    server = start("llamacpp")
    engine = connect(server)
    server.hidden = {resident.encode(letter)[-1] for letter in "ABCD"}
    with pytest.raises(NotFiniteError, match="gives nothing for a log-probability"):
        engine.loglikelihood(LETTERS)


# A server that comes back


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
@pytest.mark.parametrize("change", ["nothing", "another base", "no adapters", "another order"])
def test_a_server_that_failed_is_looked_at_again(
    kind: str,
    change: str,
    start: Start,
    connect: Callable[..., ServedEngine],
    space: DeltaSpace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server = start(kind)
    engine = connect(server)
    examine(engine, space, space.infos, ["amber birch cedar", "delta ember?"])
    other = engine.another()
    other.load(mixture(space, 0.5, 0.2, -0.3))
    before = other.loglikelihood(LETTERS)
    server.restarted(1.1 if change == "another base" else 1.0)
    server.ignores_adapters = change == "no adapters"
    if change == "another order":
        server.adapters.reverse()
        server.paths.reverse()
        server.name = "another/base"
    troubles = iter(["die"] if kind == "llamacpp" else [])  # vLLM has lost the candidate
    server.trouble = lambda server, path: next(troubles, "")
    if change == "nothing":
        assert other.loglikelihood(LETTERS) == before
        return
    message = "came back with" if change == "another order" else "came back as another model or"
    with pytest.raises(UserError, match=f"{message}.*start it as it was") as error:
        other.loglikelihood(LETTERS)
    assert "\n" not in error.value.text


# What is sent


def test_nothing_but_the_model_decides(
    start: Start, connect: Callable[..., ServedEngine], resident: TransformersEngine
) -> None:
    for kind, options in {
        "vllm": {"temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.0},
        "llamacpp": {"temperature": 0.0, "repeat_penalty": 1.0, "cache_prompt": False},
    }.items():
        server = start(kind)
        engine = connect(server)
        engine.loglikelihood(LETTERS)
        engine.generate([engine.chat("delta")], 4)
        bodies = [body for path, body in server.requests if "completion" in path]
        assert len(bodies) >= 2
        for body in bodies:
            assert {name: body[name] for name in options} == options


def test_experts_of_different_ranks_in_one_file(
    start: Start,
    connect: Callable[..., ServedEngine],
    space: DeltaSpace,
    experts: tuple[AdapterInfo, ...],
    resident: TransformersEngine,
) -> None:
    """All modules of a file have one rank there: smaller changes are padded with zeros."""
    alone = load_factors(experts[0])
    patch = mixture(space, 0.7, -0.4, 1.2)
    uneven = patch.with_low_rank(
        {
            name: alone[name] if i % 2 and name in alone else change
            for i, (name, change) in enumerate(patch.low_rank.items())
        }
    )
    assert len({change.a.shape[0] for change in uneven.low_rank.values()}) == 2
    engine = connect(start("vllm"))
    engine.load(uneven)
    resident.load(uneven)
    torch.testing.assert_close(
        engine.loglikelihood(TEXTS), resident.loglikelihood(TEXTS), rtol=0, atol=1e-3
    )


def test_the_window_counts_the_token_that_a_server_writes(
    start: Start, connect: Callable[..., ServedEngine]
) -> None:
    engine = connect(start("vllm"))
    pair = ("amber birch", " cedar delta")
    length = len(engine.encode("".join(pair)))
    engine.window = length + 1
    engine.loglikelihood([pair])
    engine.window = length
    with pytest.raises(UserError):
        engine.loglikelihood([pair])


# llama.cpp


def test_adapters_that_are_no_experts_stay_out(
    start: Start,
    connect: Callable[..., ServedEngine],
    space: DeltaSpace,
    tiny_experts: list[Path],
    resident: TransformersEngine,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_experts[0], tmp_path / "dog")
    engine = connect(start("llamacpp", [*tiny_experts[:1], tmp_path / "dog", *tiny_experts[1:]]))
    for patch in (Patch(), mixture(space, 0.7, -0.4, 1.2)):
        engine.load(patch)
        resident.load(patch)
        torch.testing.assert_close(
            engine.loglikelihood(LETTERS), resident.loglikelihood(LETTERS), rtol=0, atol=1e-3
        )


def test_adapters_are_told_apart_by_their_weights(
    start: Start,
    connect: Callable[..., ServedEngine],
    experts: tuple[AdapterInfo, ...],
    tiny_base: Path,
    space: DeltaSpace,
    tmp_path: Path,
) -> None:
    files = []
    for info in experts:
        source = find_source(str(info.path), str(tiny_base))
        files.append(str(tmp_path / f"{info.name}.gguf"))
        write_lora(source, Layout.of(source), Path(files[-1]))
    server = start("llamacpp")
    server.paths = [files[2], files[0], files[1]]
    scales = connect(server).server.load(mixture(space, 0.1, 0.2, 0.3))
    assert [
        round(scale["scale"], 6) for scale in sorted(scales, key=lambda scale: scale["id"])
    ] == [0.3, 0.1, 0.2]
    alone = Patch(low_rank=load_factors(experts[1]))
    scales = connect(server).server.load(alone)
    assert [scale["scale"] for scale in sorted(scales, key=lambda scale: scale["id"])] == [0, 0, 1]
    server.paths = [files[2], files[0], files[0]]
    with pytest.raises(UserError, match=r"none of its adapters .* has the weights of bee"):
        connect(server)
    server.paths = [files[1], files[2], "/gone/ant.gguf"]  # not all can be read: by name
    assert "by name" in connect(server).server.remark
    server.paths = ["/gone/bee/adapter.gguf", "/gone/cat.gguf", "/gone/ant.gguf"]
    engine = connect(server)
    scales = engine.server.load(mixture(space, 0.1, 0.2, 0.3))
    assert [
        round(scale["scale"], 6) for scale in sorted(scales, key=lambda scale: scale["id"])
    ] == [0.2, 0.3, 0.1]
    assert "by name" in engine.server.remark
    server.paths = ["/gone/a.gguf"]
    with pytest.raises(UserError, match="has 1 adapters, the search 3 experts"):
        connect(server)


def test_what_is_no_mixture_is_refused(
    start: Start, connect: Callable[..., ServedEngine], space: DeltaSpace
) -> None:
    engine = connect(start("llamacpp"))
    patch = mixture(space, 0.5, 0.2, 0.0)
    trained = patch.with_low_rank(
        {name: change for name, change in list(patch.low_rank.items())[:1]}
    )
    louder = Patch(
        {
            name: type(c)(b=c.b * (1 + i), a=c.a)
            for i, (name, c) in enumerate(patch.low_rank.items())
        }
    )
    for other in (trained, louder):
        with pytest.raises(
            UserError, match="runs mixtures of the adapters that it was started with"
        ):
            engine.load(other)
    with pytest.raises(UserError, match="log-probabilities of the next token only"):
        engine.loglikelihood(TEXTS)


# The examination


def test_the_examination(
    start: Start, connect: Callable[..., ServedEngine], space: DeltaSpace
) -> None:
    def refused(server: ModelServer, message: str) -> None:
        with pytest.raises(UserError, match=message) as error:
            examine(connect(server), space, space.infos, ["amber birch cedar", "delta ember?"])
        assert "\n" not in error.value.text

    other, silent, wrong, noisy = (start("vllm") for _ in range(4))
    other.tokens_moved = 1
    refused(other, "into other tokens than base does: it runs another base")
    silent.ignores_adapters = True
    refused(silent, "weight 1 of ant gives what the base gives: it is not applied")
    wrong.ignores_alpha = True
    refused(wrong, "weight 1 of ant differs from its own file by")
    noisy.noise = math.nan
    refused(noisy, "gives nan for a log-probability; its weights are damaged")
    noisy.noise = 0.001
    noise = examine(connect(noisy), space, space.infos, ["amber birch cedar", "delta ember?"])
    assert "alone and in a full batch, differs by at most 0.008 nats: models of" in noise.text
    assert "weight 0 is the base within 0.00" in noise.text and 0.007 < noise.noise < 0.009
    assert "template" not in noise.text
    noisy.noise, noisy.batch_noise = 0.0, 0.004
    noise = examine(connect(noisy), space, space.infos, ["amber birch cedar", "delta ember?"])
    assert noise.noise > 0.003  # in full batches alone
    noisy.batch_noise, noisy.drift = 0.0, 0.05
    refused(noisy, "weight 0 of all experts differs from its base by 0.05 nats per token")


def test_a_server_that_repeats_itself_is_said_to(
    start: Start, connect: Callable[..., ServedEngine], space: DeltaSpace
) -> None:
    outcome = examine(connect(start("vllm")), space, space.infos, ["amber birch cedar"])
    assert outcome.noise == 0.0
    assert "in a full batch, agrees bit for bit, so that a resumed run repeats" in outcome.text


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_another_chat_template_is_remarked(
    kind: str, start: Start, connect: Callable[..., ServedEngine], space: DeltaSpace
) -> None:
    server = start(kind)
    server.template = False
    outcome = examine(connect(server), space, space.infos, ["amber birch cedar"])
    assert "its chat template is not that of `base`" in outcome.text
    server.trouble = lambda server, path: "400" if "template" in path else ""
    if kind == "llamacpp":
        assert "template" not in examine(connect(server), space, space.infos, ["amber birch"]).text


@pytest.mark.parametrize("damage", ["no A", "a vector"])
def test_a_gguf_that_is_no_adapter_is_one_line(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "ant.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 8.0)
    shape = (4,) if damage == "a vector" else (4, 4)
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.ones(shape, dtype=np.float32))
    if damage == "a vector":
        writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4,), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match=r"ant\.gguf: is no LoRA adapter as GGUF"):
        _norms_of_file(path)
