"""The engine on a model server: the same numbers as the resident model, on both protocols."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from model_server import ModelServer
from search_helpers import small

from pyswarmopt_llm.common.errors import NotFiniteError, UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.servers.attach import attach, examine
from pyswarmopt_llm.servers.engine import KEY, ServedEngine
from pyswarmopt_llm.tools.export import write_lora

TEXTS = [("amber birch", " cedar"), ("delta", " ember fjord"), ("grove?", " heath")]
LETTERS = [("amber birch", "A"), ("amber birch", "B"), ("delta", "A"), ("delta", "C")]
EXAM = ["amber birch cedar", "delta ember?"]
Start = Callable[..., ModelServer]
Connect = Callable[..., ServedEngine]


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
    base = resolve_base(str(tiny_base))
    return inspect_experts([str(path) for path in tiny_experts], base).experts


@pytest.fixture(scope="module")
def space(experts: tuple[AdapterInfo, ...]) -> DeltaSpace:
    return DeltaSpace([Adapter(info) for info in experts])


@pytest.fixture(scope="module")
def resident(tiny_base: Path) -> TransformersEngine:
    return load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)


@pytest.fixture
def connect(tiny_base: Path, experts: tuple[AdapterInfo, ...]) -> Connect:
    def to(server: ModelServer, **more: Any) -> ServedEngine:
        files = [info.path for info in experts]
        config = small(tiny_base, files, [], "run", engine=server.url, **more)
        return attach(config, resolve_base(str(tiny_base), weights=False), lambda: experts)

    return to


def mixture(space: DeltaSpace, *weights: float) -> Patch:
    return space.realise(torch.tensor(weights, dtype=torch.float64))


def assert_same(
    served: ServedEngine,
    resident: TransformersEngine,
    patch: Patch,
    pairs: list[tuple[str, str]],
) -> None:
    served.load(patch)
    resident.load(patch)
    torch.testing.assert_close(
        served.loglikelihood(pairs), resident.loglikelihood(pairs), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_it_answers_as_the_resident_model_does(
    kind: str, start: Start, connect: Connect, space: DeltaSpace, resident: TransformersEngine
) -> None:
    server = start(kind)
    engine = connect(server)
    pairs = LETTERS if kind == "llamacpp" else [*TEXTS, *LETTERS]
    prompts = [resident.chat(context) for context, _ in TEXTS]
    assert prompts == [engine.chat(context) for context, _ in TEXTS] and engine.window == 512
    for patch in (Patch(), mixture(space, 1.0, 0.0, 0.0), mixture(space, 0.7, -0.4, 1.2), Patch()):
        assert_same(engine, resident, patch, pairs)
        assert engine.generate(prompts, 8) == resident.generate(prompts, 8)
    for path, body in server.requests:  # nothing but the model decides
        if "completion" in path:
            assert body["temperature"] == 0.0
            assert 1.0 in (body.get("repetition_penalty"), body.get("repeat_penalty"))
            assert kind == "vllm" or body["cache_prompt"] is False


def test_letters_of_a_vllm_without_logprob_token_ids(
    start: Start, connect: Connect, resident: TransformersEngine
) -> None:
    server = start("vllm")
    for server.knows_token_ids in (True, False):
        server.requests.clear()
        assert_same(connect(server), resident, Patch(), LETTERS)
        texts = any("prompt_logprobs" in body for _, body in server.requests)
        assert texts != server.knows_token_ids  # letters are the next token's, where they are told


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before asking a server again."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.usefixtures("at_once")
def test_a_restarted_server_gets_the_candidate_again_and_loses_it_at_the_end(
    start: Start,
    connect: Connect,
    space: DeltaSpace,
    tmp_path: Path,
) -> None:
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


def test_a_folder_that_the_server_does_not_see(
    start: Start, connect: Connect, space: DeltaSpace, tmp_path: Path
) -> None:
    server = start("vllm")
    server.trouble = lambda server, path: "500" if "load_lora" in path else ""
    engine = connect(server, server_folder=str(tmp_path))
    with pytest.raises(UserError, match=r"status 500: trouble\); does it see .*server_folder"):
        engine.load(mixture(space, 0.5, 0.0, 0.0))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="none: no such directory"):
        connect(server, server_folder=str(tmp_path / "none"))


def test_the_key_comes_from_the_environment(
    start: Start, connect: Connect, environ: MutableMapping[str, str]
) -> None:
    server = start("vllm")
    server.key = "secret"
    with pytest.raises(UserError, match=r"Unauthorized.*SWARM_LLM_SERVER_KEY"):
        connect(server)
    environ[KEY] = " secret\n"
    assert "vLLM 0.30.0" in connect(server).server.name


# Numbers that are none


@pytest.mark.parametrize(
    ("kind", "pairs"), [("vllm", TEXTS), ("vllm", LETTERS), ("llamacpp", LETTERS)]
)
def test_what_is_no_log_probability_is_no_score(
    kind: str, pairs: list[tuple[str, str]], start: Start, connect: Connect, space: DeltaSpace
) -> None:
    server = start(kind)
    engine = connect(server)
    engine.load(mixture(space, 0.5, 0.2, 0.0))
    for value in (math.nan, -math.inf, 0.5, True, "-1.5", None, [], 10**400):
        server.said = [value]
        with pytest.raises(NotFiniteError, match="for a log-probability") as error:
            engine.loglikelihood(pairs)
        assert error.value.text.startswith(f"{engine.server.name} gives {str(value)[:40]}")
    server.said = []
    assert all(number < 0 for number in engine.loglikelihood(pairs))


def test_a_letter_that_llamacpp_does_not_list_is_no_answer(
    start: Start, connect: Connect, resident: TransformersEngine
) -> None:
    server = start("llamacpp")
    engine = connect(server)
    server.hidden = {resident.encode(letter)[-1] for letter in "ABCD"}
    with pytest.raises(NotFiniteError, match="nothing for a log-probability"):
        engine.loglikelihood(LETTERS)


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_answers_that_are_not_one_text_for_each_prompt_are_none(
    kind: str, start: Start, connect: Connect
) -> None:
    server = start(kind)
    engine = connect(server)
    prompts = ["amber", "birch", "cedar"]
    whole = engine.generate(prompts, 2)
    one = {"index": 3, "text": "x", "content": "x"}
    for bend in (
        lambda rows: rows[:-1],
        lambda rows: [*rows, one],
        lambda rows: [*rows[:-1], {**rows[-1], "text": None, "content": None}],
    ):
        server.bend = bend
        with pytest.raises(UserError, match="otherwise than documented"):
            engine.generate(prompts, 2)
    server.bend = lambda rows: rows[::-1]
    assert engine.generate(prompts, 2) == whole


# A server that comes back


def rename(server: ModelServer) -> None:
    server.adapters.reverse()
    server.paths.reverse()
    server.name = "another/base"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
@pytest.mark.parametrize("change", ["nothing", "another base", "no adapters", "another order"])
def test_a_server_that_failed_is_looked_at_again(
    kind: str,
    change: str,
    start: Start,
    connect: Connect,
    space: DeltaSpace,
) -> None:
    server = start(kind)
    engine = connect(server)
    examine(engine, space, space.infos, EXAM)
    other = engine.another()
    other.load(mixture(space, 0.5, 0.2, -0.3))
    before = other.loglikelihood(LETTERS)
    server.restarted(1.1 if change == "another base" else 1.0)
    server.ignores_adapters = change == "no adapters"
    if change == "another order":
        rename(server)
    troubles = iter(["die"] if kind == "llamacpp" else [])  # vLLM has lost the candidate
    server.trouble = lambda server, path: next(troubles, "")
    if change == "nothing":
        assert other.loglikelihood(LETTERS) == before
        return
    message = "came back with" if change == "another order" else "came back as another model or"
    with pytest.raises(UserError, match=f"{message}") as error:
        other.loglikelihood(LETTERS)
    assert "\n" not in error.value.text


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_a_server_that_restarts_between_two_requests_is_looked_at_again(
    kind: str, start: Start, connect: Connect, space: DeltaSpace
) -> None:
    """No request fails then: it closes its connections after an answer, and is back before the
    next one.
    """
    server = start(kind)
    engine = connect(server)
    examine(engine, space, space.infos, EXAM)
    engine.load(mixture(space, 0.5, 0.2, -0.3))
    before = engine.loglikelihood(LETTERS)
    requests = len(server.requests)
    assert engine.loglikelihood(LETTERS) == before
    usual = len(server.requests) - requests
    server.trouble = lambda server, path: "bye"
    assert engine.loglikelihood(LETTERS) == before
    server.trouble = lambda server, path: ""
    requests = len(server.requests)
    assert engine.loglikelihood(LETTERS) == before  # the same server: a look, and no more
    # A connection that is found closed in the middle of a request has failed: scores count, too.
    most = 7 if engine.server.http.failures else 2
    assert 0 < len(server.requests) - requests - usual <= most
    server.trouble = lambda server, path: "bye"
    engine.loglikelihood(LETTERS)
    rename(server)
    with pytest.raises(UserError, match=r"came back with.*start it as it was") as error:
        engine.loglikelihood(LETTERS)
    assert "\n" not in error.value.text


# What is sent


def test_experts_of_different_ranks_in_one_file(
    start: Start,
    connect: Connect,
    space: DeltaSpace,
    experts: tuple[AdapterInfo, ...],
    resident: TransformersEngine,
) -> None:
    """All modules of a file have one rank there: smaller changes are padded with zeros."""
    alone, patch = load_factors(experts[0]), mixture(space, 0.7, -0.4, 1.2)
    uneven = patch.with_low_rank({name: alone[name] for name in sorted(alone)[::2]})
    assert len({change.a.shape[0] for change in uneven.low_rank.values()}) == 2
    assert_same(connect(start("vllm")), resident, uneven, TEXTS)


def test_the_window_counts_the_token_that_a_server_writes(start: Start, connect: Connect) -> None:
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
    connect: Connect,
    space: DeltaSpace,
    tiny_experts: list[Path],
    resident: TransformersEngine,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_experts[0], tmp_path / "dog")
    engine = connect(start("llamacpp", [*tiny_experts[:1], tmp_path / "dog", *tiny_experts[1:]]))
    for patch in (Patch(), mixture(space, 0.7, -0.4, 1.2)):
        assert_same(engine, resident, patch, LETTERS)


def scales(engine: ServedEngine, patch: Patch) -> list[float]:
    """The scale of each of the server's adapters, by its number."""
    listed = sorted(engine.server.load(patch), key=lambda scale: scale["id"])
    return [round(scale["scale"], 6) for scale in listed]


def test_adapters_are_told_apart_by_their_weights_or_else_their_names(
    start: Start,
    connect: Connect,
    experts: tuple[AdapterInfo, ...],
    tiny_base: Path,
    space: DeltaSpace,
    tmp_path: Path,
) -> None:
    files = []
    for info in experts:
        files.append(str(tmp_path / f"{info.name[0]}.gguf"))
        write_lora(resolve_base(str(tiny_base)), load_factors(info), Path(files[-1]))
    server, patch = start("llamacpp"), mixture(space, 0.1, 0.2, 0.3)
    server.paths = [files[2], files[0], files[1]]
    assert scales(connect(server), patch) == [0.3, 0.1, 0.2]
    assert scales(connect(server), Patch(load_factors(experts[1]))) == [0.0, 0.0, 1.0]
    server.paths = [files[1], files[2], "/gone/ant.gguf"]
    assert scales(connect(server), patch) == [0.2, 0.3, 0.1]
    server.paths = ["/gone/bee/adapter.gguf", "/gone/cat.gguf", "/gone/ant.gguf"]
    assert scales(connect(server), patch) == [0.2, 0.3, 0.1]
    for paths, lacking in (([files[2], files[0], files[0]], "bee"), (["/gone/a.gguf"], "ant")):
        server.paths = paths
        with pytest.raises(UserError, match=f"name of {lacking}"):
            connect(server)


def test_what_is_no_mixture_is_refused(start: Start, connect: Connect, space: DeltaSpace) -> None:
    engine = connect(start("llamacpp"))
    patch = mixture(space, 0.5, 0.2, 0.0)
    trained = patch.with_low_rank(dict(list(patch.low_rank.items())[:1]))
    uneven = {
        name: type(change)(b=change.b * (1 + i), a=change.a)
        for i, (name, change) in enumerate(patch.low_rank.items())
    }
    elsewhere = {**patch.low_rank, "another.weight": next(iter(patch.low_rank.values()))}
    for other in (trained, Patch(uneven), Patch(elsewhere)):
        with pytest.raises(UserError, match="mixtures of the adapters that it was started with"):
            engine.load(other)
    with pytest.raises(UserError, match="next token only"):
        engine.loglikelihood(TEXTS)


# The examination


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens_moved": 1}, "into other tokens than base does: it runs another base"),
        ({"ignores_adapters": True}, "weight 1 of ant gives what the base gives"),
        ({"noise": math.nan}, "gives nan for a log-probability"),
        ({"drift": 0.05}, "weight 0 of all experts differs from its base by 0.05 nats per token"),
    ],
)
def test_the_examination_refuses(
    settings: dict[str, Any], message: str, start: Start, connect: Connect, space: DeltaSpace
) -> None:
    server = start("vllm")
    vars(server).update(settings)
    with pytest.raises(UserError, match=message) as error:
        examine(connect(server), space, space.infos, EXAM)
    assert "\n" not in error.value.text


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [({}, 0.0, 0.0), ({"noise": 0.001}, 0.007, 0.009), ({"batch_noise": 0.004}, 0.003, 0.05)],
)
def test_the_examination_measures_noise(
    settings: dict[str, float],
    least: float,
    most: float,
    start: Start,
    connect: Connect,
    space: DeltaSpace,
) -> None:
    server = start("vllm")
    vars(server).update(settings)
    outcome = examine(connect(server), space, space.infos, EXAM)
    assert least <= outcome.noise <= most
    assert "base within 0" in outcome.text
    assert ("agrees bit for bit" in outcome.text) == (outcome.noise == 0.0)


def test_a_text_of_two_tokens_is_enough_to_examine_a_server(
    start: Start, connect: Connect, space: DeltaSpace
) -> None:
    engine = connect(start("vllm"))
    text = next(text for text in ("a", "ab", "x y") if len(engine.encode(text)) == 2)
    assert len(examine(engine, space, space.infos, [text]).scores) == 1


@pytest.mark.parametrize("damage", ["no A", "a vector"])
def test_a_gguf_that_is_no_adapter_is_one_line(
    damage: str, start: Start, connect: Connect, tmp_path: Path
) -> None:
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
    server = start("llamacpp")
    server.paths[0] = str(path)
    with pytest.raises(UserError, match=r"ant\.gguf: is no LoRA adapter"):
        connect(server)


def test_of_two_checkpoints_the_expert_itself_is_taken(
    start: Start,
    connect: Connect,
    experts: tuple[AdapterInfo, ...],
    tiny_base: Path,
    space: DeltaSpace,
    tmp_path: Path,
) -> None:
    """Another checkpoint has nearly the same norms; alone, it is not the expert."""
    files = []
    for info in experts:
        files.append(str(tmp_path / f"{info.name[0]}.gguf"))
        write_lora(resolve_base(str(tiny_base)), load_factors(info), Path(files[-1]))
    earlier = str(tmp_path / "earlier.gguf")
    moved = {
        name: LowRank(b=change.b, a=change.a + 1e-3 * change.a.roll(1, 1))
        for name, change in load_factors(experts[0]).items()
    }
    write_lora(resolve_base(str(tiny_base)), moved, Path(earlier))
    server, patch = start("llamacpp"), mixture(space, 0.1, 0.2, 0.3)
    server.paths = [earlier, *files]
    assert scales(connect(server), patch) == [0.0, 0.1, 0.2, 0.3]
    server.paths = [earlier, *files[1:]]
    with pytest.raises(UserError, match=r"name of ant"):
        connect(server)
