"""Attaches to a server: recognises it by its routes, and checks that it applies candidates
correctly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.http import Json, Refusal
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine, Patch, Space
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.engine.chat import window_of
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.experts.base import BaseModel, load_tokenizer, resolve_base
from pyswarmopt_llm.mix.kind import Pool
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.servers.engine import (
    CandidateServer,
    ServedEngine,
    Watch,
    connection,
    log_likelihoods,
    per_token,
)
from pyswarmopt_llm.servers.llamacpp import LlamaCpp
from pyswarmopt_llm.servers.vllm import Vllm

TEXTS = 8  # texts for examining the server
TOLERANCE = 1e-2  # nats per token
CONTINUED = 8  # tokens of a continuation
_FULL = 4  # a full batch has this many times as many texts
_ABSENT = frozenset({404, 405, 501})  # statuses of a missing route

Experts = Callable[[], Sequence[AdapterInfo]]
# scored if there are no items
PLAIN = ("Write one sentence about the sea.", "Name a colour, and a thing that has it.")


@dataclass(frozen=True)
class Examination:
    """The outcome of `examine`.

    Attributes:
        text: summary in a line.
        noise: largest difference between two answers to the same request, in nats.
        scores: the base's scores of the first items' texts, in nats; a resumed run compares them.
    """

    text: str
    noise: float
    scores: tuple[float, ...]

    @property
    def stored(self) -> dict[str, Any]:
        """The part for ``run.json``."""
        return {"noise": self.noise, "server_scores": self.scores}


def attach(config: SearchConfig, base: BaseModel, experts: Experts) -> ServedEngine:
    """The engine on the server at `config.engine`; the base's weights are not read here.

    Args:
        config: has the server's URL, and how to send candidates.
        base: base that the server runs.
        experts: finds the adapters that llama.cpp's server was started with; not used for other
            servers.

    Raises:
        UserError: no server answers, it is neither of the two, or lacks a needed feature.
    """
    from transformers import AutoConfig

    if base.scheme:
        raise InvalidOption(
            "engine", config.engine, f"the server quantises; give `base` without {base.scheme}:"
        )
    model = AutoConfig.from_pretrained(base.path, trust_remote_code=False, local_files_only=True)
    dtype = (
        torch.float32 if config.dtype == "auto" else pick_dtype(config.dtype, pick_device("cpu"))
    )
    server = recognise(config, experts, dtype)
    _check_base(server, base)
    windows = [window for window in (window_of(model), server.window) if window is not None]
    engine = ServedEngine(server, load_tokenizer(base), min(windows, default=None), dtype)
    engine.system = config.system
    return engine


def recognise(config: SearchConfig, experts: Experts, dtype: torch.dtype) -> CandidateServer:
    """The server behind a URL, by its routes.

    Raises:
        UserError: see `attach`.
    """
    http = connection(config.engine)
    props = _greet(http, "/props", "default_generation_settings")
    if props is not None:
        return LlamaCpp(http, props, experts())
    version = _greet(http, "/version", "version")
    if version is not None:
        folder = None if config.server_folder is None else user_path(config.server_folder)
        return Vllm(http, str(version["version"]), folder, dtype, config.server_slots)
    raise InvalidOption(
        "engine",
        config.engine,
        "is not vLLM's server or llama.cpp's; give the URL of one of them",
    )


def _greet(http: Json, path: str, field: str) -> dict[str, Any] | None:
    """The answer of a route that only one kind of server has; None without the route."""
    try:
        answer = http.get(path, once=True)
    except Refusal as refusal:
        if refusal.status in _ABSENT:
            return None
        raise
    return answer if isinstance(answer, dict) and field in answer else None


def examine(
    engine: ServedEngine, space: Space, experts: Sequence[AdapterInfo], texts: Sequence[str]
) -> Examination:
    """Check that weight 0 gives the base and weight 1 applies each expert, and measure the server's
    repeatability.

    Args:
        engine: engine from `attach`.
        space: space over the experts.
        experts: experts in the space's order.
        texts: texts to score; the first `TEXTS` are used.

    Raises:
        UserError: the server runs another base, or does not apply adapters.
    """
    server = engine.server
    pairs = [pair for text in texts[:TEXTS] for pair in _pairs(engine, text)]
    single, again = ([log_likelihoods(server, None, [pair])[0] for pair in pairs] for _ in range(2))
    # in other contexts, since each context is sent once
    beside = [(head[:-k], tail) for k in range(1, _FULL) for head, tail in pairs if len(head) > k]
    full = log_likelihoods(server, None, [*pairs, *beside])[: len(pairs)]
    noise = max(_distance(single, values) for values in (again, full))

    engine.load(space.realise(space.vertices()[0] * 0))
    from_base = per_token(engine.score(pairs), single, pairs)
    if from_base > TOLERANCE + noise:
        differs = f"differs from its base by {from_base:.2g} nats per token"
        raise UserError(f"{server.name}: weight 0 of all experts {differs}")
    patches = [space.realise(vertex) for vertex in space.vertices()]
    for info, patch in zip(experts, patches, strict=True):
        engine.load(patch)
        _require_applied(engine, f"weight 1 of {info.name}", patch, pairs, single, noise)
    engine.leave()
    engine.watch = Watch(server, patches[0], pairs[:2], TOLERANCE + noise)
    repeats = (
        f"differs by at most {noise:.1g} nats: models of the scores take it as noise, intervals "
        "over examples contain it"
        if noise
        else "agrees bit for bit, so that a resumed run repeats this one"
    )
    text = (
        f"the base runs in {server.name} (as {server.base}): on {len(texts[:TEXTS])} texts weight "
        f"0 is the base within {from_base:.1g} nats per token, weight 1 changes it for each "
        f"expert; the same request again, alone and in a full batch, {repeats}"
    )
    return Examination(text, noise, tuple(single))


def check_loaded(engine: ServedEngine, patch: Patch, name: str) -> None:
    """Check that the server tokenises like the base, and applies the loaded adapter.

    Raises:
        UserError: one of these fails.
    """
    server = engine.server
    pairs = [pair for text in PLAIN for pair in _pairs(engine, engine.chat(text))]
    single, again = (log_likelihoods(server, None, pairs) for _ in range(2))
    noise = _distance(single, again)
    _require_applied(engine, name, patch, pairs, single, noise)
    engine.watch = Watch(server, patch, pairs[:2], TOLERANCE + noise)


def _require_applied(
    engine: ServedEngine,
    name: str,
    patch: Patch,
    pairs: Sequence[TokenPair],
    base: Sequence[float],
    noise: float,
) -> None:
    """Refuse an adapter whose change of the base's scores is within the server's noise."""
    changes = any(bool(change.b.any()) for change in patch.low_rank.values())
    if changes and _distance(engine.score(pairs), base) <= noise:
        server = engine.server.name
        raise UserError(f"{server}: {name} gives what the base gives: it is not applied")


def _check_base(server: CandidateServer, base: BaseModel) -> None:
    """Compare the directory that the server names with the base, if readable here."""
    folder = Path(server.base)
    if not (folder / "config.json").is_file() or folder.resolve() == base.path.resolve():
        return
    if resolve_base(server.base, weights=False).fingerprint != base.fingerprint:
        raise UserError(
            f"{server.name} runs {server.base}, not {base.spec}; start it with that, or correct "
            "`base`"
        )


def _pairs(engine: ServedEngine, text: str) -> Iterator[TokenPair]:
    """Pairs of a context and its next token: the last token of a text, and if the server supports
    it, a few in the middle.
    """
    ids = tuple(engine.encode(text))
    plain = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    if list(engine.server.tokens(text)) != list(plain):
        name = engine.server.name
        raise UserError(
            f"{name} cuts {text[:40]!r} into other tokens than `base` does: it runs another base"
        )
    if len(ids) > 1:
        yield ids[:-1], ids[-1:]
    half = len(ids) // 2
    if engine.server.likelihoods and len(ids) - half > 1:
        yield ids[:half], ids[half : half + CONTINUED]


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def check_served(
    config: SearchConfig, objectives: Objectives, pool: Pool, served: Engine
) -> Examination:
    """Refuse tasks that the server cannot score, then examine the server on the first dev items.

    Raises:
        UserError: a task cannot be scored, or the examination failed.
    """
    engine = cast(ServedEngine, served)
    for name in objectives.tasks:
        if not objectives.scorings(name, config.scoring, engine.likelihoods):
            why = (
                f"{engine.server.name} gives no log-probabilities of texts, by which {name} is "
                "scored"
            )
            raise InvalidOption("scoring", None, f"{why}; score by letter or generate, or use vLLM")
    texts = list(islice(_texts(config, objectives, engine), TEXTS))
    return examine(engine, pool.space, pool.experts, texts or [engine.chat(text) for text in PLAIN])


def still_same(run: Path, before: Examination, now: Examination) -> dict[str, str]:
    """A note if the server of a resumed run is no longer deterministic; else nothing.

    Args:
        run: run directory, for the error.
        before: examination at the start of the run.
        now: present examination.

    Raises:
        UserError: the server now runs another base.
    """
    tolerance = TOLERANCE + max(before.noise, now.noise)
    distances = [abs(a - b) for a, b in zip(before.scores, now.scores, strict=False)]
    if max(distances, default=0.0) > tolerance * CONTINUED:
        raise UserError(
            f"{run}: its server scores the first examples otherwise than when the run began "
            f"(by {max(distances):.2g} nats): it runs another base, or quantises it otherwise; "
            "start it as it was, or begin a new run"
        )
    if before.noise or not now.noise:
        return {}
    text = (
        "the server answered bit for bit when this run began, and now differs by up to "
        f"{now.noise:.1g} nats: the result may not be that of a run without interruption"
    )
    return {"repeats": text}


def _texts(config: SearchConfig, objectives: Objectives, engine: ServedEngine) -> Iterator[str]:
    """Texts to score, from each task's first dev items, one per item."""
    for name, task in objectives.tasks.items():
        scoring = objectives.scorings(name, config.scoring, engine.likelihoods)[0]
        questions = objectives.metrics[name].on(task.dev[:TEXTS], scoring, engine.chat, task.prompt)
        first = {item.id: text for item, text, _ in reversed(list(questions.texts()))}
        yield from (first[item.id] for item in task.dev[:TEXTS])
