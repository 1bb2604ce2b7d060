"""The engine on vLLM, with a fake that has vLLM's signatures and computes with transformers and
plain peft.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.models.adapters.adapter import load_factors
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.base import load_tokenizer, resolve_base
from pyswarmopt_llm.models.engines.load import load_engine

PAIRS = [("amber birch", " cedar"), ("delta", " ember fjord"), ("grove?", " heath")]


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class SamplingParams:
    temperature: float
    max_tokens: int
    prompt_logprobs: int | None = None
    logprobs: int | None = None


class LLM:
    """One room for adapters, known by their numbers, as vLLM has it."""

    made: list[LLM] = []  # noqa: RUF012

    def __init__(
        self,
        model: str,
        dtype: str,
        enable_lora: bool,
        max_loras: int,
        max_lora_rank: int,
        **more: Any,
    ) -> None:
        from transformers import AutoModelForCausalLM

        assert enable_lora and max_loras == 1
        self.rank = max_lora_rank
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        self.tokenizer = load_tokenizer(resolve_base(model))
        self.loaded: int | None = None
        self.swaps: list[int] = []
        LLM.made.append(self)

    @torch.inference_mode()
    def generate(
        self,
        prompts: list[dict[str, list[int]]],
        sampling: SamplingParams,
        lora_request: LoRARequest | None,
        use_tqdm: bool,
    ) -> list[Any]:
        self._put(lora_request)
        return [self._answer(prompt["prompt_token_ids"], sampling) for prompt in prompts]

    def _put(self, request: LoRARequest | None) -> None:
        import peft

        number = None if request is None else request.lora_int_id
        if number == self.loaded:
            return
        if self.loaded is not None:
            self.model = self.model.unload()
        self.loaded = number
        if request is not None:
            self.swaps.append(request.lora_int_id)
            self.model = peft.PeftModel.from_pretrained(self.model, request.lora_path).eval()

    def _answer(self, ids: list[int], sampling: SamplingParams) -> Any:
        logprobs = self.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        output = SimpleNamespace(prompt_logprobs=None)
        if sampling.prompt_logprobs is not None:
            rows = [
                {token: SimpleNamespace(logprob=float(logprobs[i, token]))}
                for i, token in enumerate(ids[1:])
            ]
            output.prompt_logprobs = [None, *rows]
        whole = None
        if sampling.logprobs == -1:
            whole = [
                {i: SimpleNamespace(logprob=float(value)) for i, value in enumerate(logprobs[-1])}
            ]
        new = self.model.generate(
            torch.tensor([ids]), max_new_tokens=sampling.max_tokens, do_sample=False
        )[0, len(ids) :]
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        output.outputs = [SimpleNamespace(text=text, logprobs=whole)]
        return output


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> type[LLM]:
    for name, more in {
        "vllm": {"LLM": LLM, "SamplingParams": SamplingParams},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": LoRARequest},
    }.items():
        module = ModuleType(name)
        vars(module).update(more)
        monkeypatch.setitem(sys.modules, name, module)
    LLM.made.clear()
    return LLM


def test_it_answers_as_the_merged_model_does(
    vllm: type[LLM], tiny_base: Path, tiny_experts: list[Path]
) -> None:
    from pyswarmopt_llm.models.engines.vllm import VllmEngine

    base = resolve_base(str(tiny_base))
    merged = load_engine(base, "float32", "cpu", 1)
    engine = VllmEngine(base.path, load_tokenizer(base), 1024, torch.float32, rank=4)
    experts = inspect_experts([str(path) for path in tiny_experts], base).experts
    prompts = [merged.chat(context) for context, _ in PAIRS]
    assert prompts == [engine.chat(context) for context, _ in PAIRS]
    for patch in [Patch(), *(Patch(low_rank=load_factors(info)) for info in experts[:2]), Patch()]:
        merged.load(patch)
        engine.load(patch)
        torch.testing.assert_close(
            engine.loglikelihood(PAIRS), merged.loglikelihood(PAIRS), rtol=1e-4, atol=1e-4
        )
        assert engine.generate(prompts, 8) == merged.generate(prompts, 8)
        expected = merged.next_token_logprobs(prompts)
        torch.testing.assert_close(
            engine.next_token_logprobs(prompts), expected, rtol=1e-4, atol=1e-4
        )
    assert vllm.made[0].swaps == [1, 2]  # one adapter after the other, in one room
    with pytest.raises(UserError, match=r"engine vllm: takes LoRA candidates"):
        engine.load(Patch(dense={"x": torch.zeros(1)}))
    with pytest.raises(UserError, match="rank 513"):
        VllmEngine(base.path, load_tokenizer(base), 1024, torch.float32, rank=513)


def test_a_search_that_writes_answers(
    vllm: type[LLM], tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(3, 1), questions(2, 2))
    experts = louder(tiny_experts, tmp_path / "loud")
    settings = {
        "scoring": "letter",
        "max_iter": 1,
        "particles": 3,
        "space": "delta",
        "dtype": "float32",
    }
    config = small(tiny_base, experts, [task], tmp_path / "vllm", engine="vllm", **settings)
    result = search(config).result
    assert vllm.made[0].rank == 16  # three adapters of rank 4 side by side have rank 12
    assert result["evaluations"] == 6 and len(set(vllm.made[0].swaps)) >= 6
    assert (tmp_path / "vllm" / "best" / "adapter_model.safetensors").is_file()


def test_words_that_do_not_go_with_it(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(3, 1), questions(2, 2))
    words = [
        "search",
        "--base",
        tiny_base,
        "--experts",
        *tiny_experts,
        "--task",
        task,
        "--out",
        tmp_path / "run",
    ]
    for bad, message in {
        "--engine llama": "--engine llama: unknown; use transformers, vllm or http://HOST:PORT",
        "--engine vllm --space full": "--engine vllm: takes LoRA candidates, not space full",
        "--engine vllm --workers 2": "--engine vllm: makes its own batches in one process",
        "--engine vllm": "--engine vllm: vLLM cannot be imported",
    }.items():
        code, _, err = swarm_llm(capsys, *words, *bad.split())
        assert code == 2 and message in err and err.count("\n") == 1, err
