"""Candidates added to layers' outputs at run time: the logits of merged ones, of PEFT, and of the
base again.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_logprobs
from llm_fixtures import save_random_expert
from search_helpers import history, louder, questions, small, write_task
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.metrics.registry import METRICS, written
from pyswarmopt_llm.models.adapters.adapter import Expert, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.models.engines.generation.decoder import Decoder
from pyswarmopt_llm.models.engines.generation.several import SeveralDecoder
from pyswarmopt_llm.models.engines.generation.write import Draw
from pyswarmopt_llm.models.engines.generation.writer import Expected
from pyswarmopt_llm.models.engines.passes import Passes
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.quantised.added_outputs import AddedOutputs
from pyswarmopt_llm.spaces.delta import DeltaSpace

Q0 = "model.layers.0.self_attn.q_proj.weight"  # (32, 32)
PAIRS = [("Which one?", " left"), ("Which one?", " right"), ("Where is it", ", then?"), ("A", "B")]


def engines(
    base: Path, dtype: torch.dtype = torch.float32
) -> tuple[TransformersEngine, TransformersEngine]:
    """One that merges, and one that adds at run time."""
    merged, tokenizer = load_tiny(base, dtype)
    runtime = copy.deepcopy(merged)
    return TransformersEngine(merged, tokenizer), TransformersEngine(
        runtime, tokenizer, mixing=AddedOutputs(runtime)
    )


@pytest.fixture(scope="module")
def experts(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Adapters of all kinds that can be mixed: rsLoRA, patterns of rank and alpha, and different
    modules.
    """
    folder = tmp_path_factory.mktemp("kinds")
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "rslora": {"use_rslora": True, "rank": 8},
        "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32}},
        "mlp": {"target_modules": ["up_proj", "down_proj"], "rank": 3},
    }
    return [
        save_random_expert(tiny_base, folder / name, seed, **kind)
        for seed, (name, kind) in enumerate(kinds.items())
    ]


def space_of(folders: list[Path]) -> DeltaSpace:
    adapters: list[Expert] = [load_adapter(read_adapter(folder)) for folder in folders]
    return DeltaSpace(adapters)


@pytest.mark.parametrize("weights", [(0.5, -0.3, 1.2, 0.25), (0, 0, 0, 0), (0, 1, 0, 0)])
def test_mixtures_score_as_merged_ones(
    tiny_base: Path, experts: list[Path], weights: tuple[float, ...]
) -> None:
    patch = space_of(experts).realise(torch.tensor(weights, dtype=torch.float64))
    merged, runtime = engines(tiny_base)
    base = merged.next_token_logprobs(["A"])
    for engine in (merged, runtime):
        engine.load(patch)
    assert runtime.loglikelihood(PAIRS) == pytest.approx(merged.loglikelihood(PAIRS), abs=1e-5)
    moved = (runtime.next_token_logprobs(["A"]) - base).abs().max() > 1e-3
    assert bool(moved) == any(weights)
    assert runtime.generate(["Say it"], 8) == merged.generate(["Say it"], 8)


def test_in_bfloat16_they_differ_by_rounding(tiny_base: Path, experts: list[Path]) -> None:
    patch = space_of(experts).realise(torch.full((4,), 0.5, dtype=torch.float64))
    merged, runtime = engines(tiny_base, torch.bfloat16)
    base = merged.next_token_logprobs(["A"])
    for engine in (merged, runtime):
        engine.load(patch)
    logprobs, expected = runtime.next_token_logprobs(["A"]), merged.next_token_logprobs(["A"])
    assert (logprobs - expected).abs().max() < 0.2 < (expected - base).abs().max()


@pytest.mark.parametrize("which", range(4))
def test_an_expert_at_weight_1_is_as_peft_runs_it(
    tiny_base: Path, experts: list[Path], which: int
) -> None:
    import peft

    _, runtime = engines(tiny_base)
    runtime.load(Patch(low_rank=load_factors(read_adapter(experts[which]))))
    model = peft.PeftModel.from_pretrained(load_tiny(tiny_base)[0], experts[which]).eval()
    ids = runtime.encode("Which one?")
    expected = naive_logprobs(model, ids)[-1].float()
    torch.testing.assert_close(
        runtime.next_token_logprobs(["Which one?"])[0], expected, rtol=0, atol=1e-4
    )


def test_the_base_is_itself_again_and_its_weights_never_change(
    tiny_base: Path, experts: list[Path]
) -> None:
    _, runtime = engines(tiny_base)
    weights = {name: value.clone() for name, value in runtime.model.named_parameters()}
    before = runtime.loglikelihood(PAIRS)
    space = space_of(experts)
    for seed in range(3):
        runtime.load(
            space.realise(torch.randn(4, generator=torch.Generator().manual_seed(seed)).double())
        )
        assert runtime.loglikelihood(PAIRS) != pytest.approx(before, abs=1e-3)
    runtime.load(Patch())
    assert runtime.loglikelihood(PAIRS) == before
    assert all(
        torch.equal(value, weights[name]) for name, value in runtime.model.named_parameters()
    )


def test_what_cannot_be_added_to_outputs_is_refused_and_changes_nothing(tiny_base: Path) -> None:
    _, runtime = engines(tiny_base)
    before = runtime.loglikelihood(PAIRS)
    value = torch.zeros(32, 32)

    def change(out: int) -> LowRank:
        return LowRank(b=torch.ones(out, 1), a=torch.ones(1, 32))

    cases: list[tuple[Patch, type[Exception], str]] = [
        (Patch(dense={Q0: value}), InvalidOption, "mix runtime: adds changes of low rank only"),
        (Patch(full_rank={Q0: value}), InvalidOption, "mix runtime: adds changes of low rank only"),
        (
            Patch({Q0: change(32), "model.norm.weight": change(32)}),
            KeyError,
            "no such linear layer",
        ),
        (Patch({Q0: change(16)}), ValueError, "change of shape"),
    ]
    for patch, kind, said in cases:
        with pytest.raises(kind, match=said):
            runtime.load(patch)
        runtime.load(Patch())
        assert runtime.loglikelihood(PAIRS) == before


def test_gradients_flow_through_what_is_added(tiny_base: Path, experts: list[Path]) -> None:
    """Also where the first pass with a candidate recorded none, as in a search that trains
    later.
    """
    patch = space_of(experts).realise(torch.full((4,), 0.5, dtype=torch.float64))
    slopes: list[Tensor] = []
    for engine in engines(tiny_base):
        engine.load(patch)
        engine.loglikelihood(PAIRS)
        embedded = (
            engine.model.get_input_embeddings()(torch.tensor([[3, 4, 5]])).detach().requires_grad_()
        )
        engine.model(inputs_embeds=embedded).logits.logsumexp(-1).sum().backward()
        slopes.append(embedded.grad)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-4)


# Replies of several candidates in one batch

PROMPTS = ["Which one is it, then?", "Which one?", "Which one?", "Where", "Which two of them? Say"]
WEIGHTS = [(0.5, -0.3, 1.2, 0.25), (0, 0, 0, 0), (0, 1, 0, 0), (1.5, 1, -1, 0.5), (2, 0, 0, 2)]


def candidates(experts: list[Path]) -> list[Patch]:
    space = space_of(experts)
    return [space.realise(torch.tensor(weights, dtype=torch.float64)) for weights in WEIGHTS]


@pytest.mark.parametrize("draw", [None, Draw(2.0, (1, 2, 3, 4, 5))])
def test_replies_of_several_candidates_are_those_of_each(
    tiny_base: Path, experts: list[Path], draw: Draw | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def logits(decoder: Any) -> Tensor:
        steps.append(1)
        return plain(decoder)

    plain = Decoder.logits
    monkeypatch.setattr(Decoder, "logits", logits)
    patches = candidates(experts)

    def written(engine: TransformersEngine, patch: Patch) -> list[str]:
        engine.load(patch)
        if draw is None:
            return engine.generate(PROMPTS, 12)
        return engine.sample(PROMPTS, draw, 12)

    _, engine = engines(tiny_base)
    alone = [written(engine, patch) for patch in patches]
    assert len({tuple(texts) for texts in alone}) == len(patches)
    steps_alone = len(steps)
    engine.expect(patches)
    assert [written(engine, patch) for patch in patches] == alone
    assert len(steps) - steps_alone < steps_alone / 3
    steps.clear()  # a second score of the same replies
    assert [written(engine, patch) for patch in patches] == alone and not steps
    # a run that is resumed has some of them already, and asks for one twice
    steps.clear()
    engine.expect(patches)
    again = [written(engine, patches[number]) for number in (3, 1)]
    assert again == [alone[3], alone[1]] and len(steps) < steps_alone / 3
    assert written(engine, Patch()) == alone[1]
    # 12 rows in a batch: two candidates, two, and one
    engine.batch_tokens = 60
    engine.expect(patches)
    assert [written(engine, patch) for patch in patches] == alone


def test_logits_of_several_candidates_are_those_of_each(
    tiny_base: Path, experts: list[Path]
) -> None:
    """Also of candidates that share no factor, and while rows leave."""
    _, engine = engines(tiny_base)
    ids = [engine.encode_prompt(prompt) for prompt in PROMPTS]
    factors = load_factors(read_adapter(experts[0]))
    halves = {name: LowRank(b=c.b, a=c.a / 2) for name, c in factors.items()}
    different = [Patch(factors), Patch(halves)]
    n, generator = len(ids), torch.Generator().manual_seed(0)
    for patches in (candidates(experts), different):
        model = copy.deepcopy(engine.model)
        several = SeveralDecoder(
            Passes(model), ids, 6, 100, engine.pad(), AddedOutputs(model), patches
        )
        each = []
        for patch in patches:
            runtime = copy.deepcopy(engine.model)
            AddedOutputs(runtime).load(patch)
            each.append(Decoder(Passes(runtime), ids, 6, 100, engine.pad()))
        rows = [*range(n)]
        for kept in ([0, 1, 2, 3, 4], [4, 1, 2], [1, 2]):
            expected = torch.cat([decoder.logits() for decoder in each])
            torch.testing.assert_close(several.logits(), expected, rtol=0, atol=1e-5)
            tokens = torch.randint(5, 60, (len(rows),), generator=generator)
            for decoder in each:
                decoder.keep(kept)
                decoder.push(tokens[kept])
            several.keep([k * len(rows) + row for k in range(len(patches)) for row in kept])
            several.push(tokens[kept].repeat(len(patches)))
            rows = kept


def test_where_memory_does_not_suffice_for_several_they_are_written_one_by_one(
    tiny_base: Path, experts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(decoder: SeveralDecoder) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    _, engine = engines(tiny_base)
    patches = candidates(experts)[:2]
    alone = []
    for patch in patches:
        engine.load(patch)
        alone.append(engine.generate(PROMPTS, 8))
    monkeypatch.setattr(SeveralDecoder, "logits", full)
    engine.expect(patches)
    for patch, texts in zip(patches, alone, strict=True):
        engine.load(patch)
        assert engine.generate(PROMPTS, 8) == texts
    assert engine.batch_tokens < 1024


def test_a_search_writes_the_replies_of_a_round_together(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same journal as one by one, and so has a run that was stopped."""

    def distinct(items: Any, texts: Sequence[str]) -> list[float]:
        return [float(len(set(text))) for text in texts]

    monkeypatch.setitem(METRICS, "distinct", written("distinct", distinct, "nothing", new=6))
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(3, 2), metric="distinct")
    loud = louder(tiny_experts, tmp_path / "loud")
    settings = {"space": "delta", "mix": "runtime", "dtype": "float32", "scoring": "auto"}

    def config(name: str) -> SearchConfig:
        return small(tiny_base, loud, [task], tmp_path / name, max_iter=2, **settings)

    sizes: list[int] = []

    def group(expected: Expected, patch: Patch, size: int) -> list[Patch]:
        patches = plain(expected, patch, size)
        sizes.append(len(patches))
        return patches

    plain = Expected.group
    monkeypatch.setattr(Expected, "group", group)
    together = history(search(config("together")).run)
    assert max(sizes) == 5 and len({row["value"] for row in together}) > 3
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "together", stopped)
    (stopped / "result.json").unlink()
    lines = (stopped / "history.jsonl").read_text().splitlines(keepends=True)
    (stopped / "history.jsonl").write_text("".join(lines[:7]))
    assert history(resume(stopped).run) == together
    monkeypatch.setattr(Expected, "group", lambda expected, patch, size: [patch])
    assert history(search(config("alone")).run) == together
