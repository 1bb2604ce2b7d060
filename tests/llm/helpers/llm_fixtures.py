"""A tiny random base model and three LoRA experts of it, made once per test session."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch
from serving import Answer, Server

if TYPE_CHECKING:
    from search_helpers import Shell

    from pyswarmopt_llm.common.config import SearchConfig

TINY_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")

_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_tokenizer(path: Path) -> int:
    """A byte-level tokenizer: one token per byte and two special ones; returns the size of its
    vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(path)
    return len(tokenizer)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a random bf16 Llama: 2 layers, hidden 32, 4 query and 2 key-value heads,
    tied.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    path = tmp_path_factory.mktemp("tiny") / "tiny-base"
    size = save_tiny_tokenizer(path)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024}
    ids = {"bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    # the range is large enough that different prompts get clearly different answers
    config = LlamaConfig(
        vocab_size=size, **sizes, **ids, tie_word_embeddings=True, initializer_range=0.3
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(path)
    return path


def save_random_expert(
    base: Path, out: Path, seed: int, rank: int = 4, alpha: float = 8, **lora: object
) -> Path:
    """A peft adapter of `base` with random non-zero A and B, saved by peft itself."""
    import peft
    from transformers import AutoModelForCausalLM

    options = {
        "target_modules": list(TINY_TARGETS),
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": alpha,
    }
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = peft.get_peft_model(model, peft.LoraConfig(**{**options, **lora}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(out)
    return out


def save_by_hand(
    out: Path, factors: dict[str, tuple[list[list[float]], list[list[float]]]], **config: object
) -> Path:
    """An adapter from numbers: module -> (B, A), written without peft and without this library."""
    out.mkdir(parents=True)
    rank = len(next(iter(factors.values()))[1])
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        **config,
    }
    settings.setdefault("target_modules", sorted({module.rsplit(".", 1)[-1] for module in factors}))
    (out / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {}
    for module, (b, a) in factors.items():
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.tensor(b)
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.tensor(a)
    safetensors.torch.save_file(tensors, out / "adapter_model.safetensors")
    return out


@pytest.fixture
def by_hand(tmp_path: Path) -> Callable[..., Path]:
    """`save_by_hand` into the test's own directory: ``by_hand(name, factors, **config)``."""
    return lambda name, factors, **config: save_by_hand(tmp_path / name, factors, **config)


@pytest.fixture
def make_expert(tiny_base: Path, tmp_path: Path) -> Callable[..., Path]:
    """`save_random_expert` of `tiny_base`: ``make_expert(name, seed, rank=, alpha=, **LoraConfig
    options)``.
    """
    return lambda name, seed, **options: save_random_expert(
        tiny_base, tmp_path / name, seed, **options
    )


@pytest.fixture(scope="session")
def tiny_experts(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Directories of three random LoRA experts of `tiny_base`, rank 4, alpha 8."""
    parent = tmp_path_factory.mktemp("experts")
    return [
        save_random_expert(tiny_base, parent / name, seed)
        for seed, name in enumerate(("ant", "bee", "cat"), 1)
    ]


@pytest.fixture(scope="session")
def experts(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Louder copies of `tiny_experts`, which answer differently."""
    from search_helpers import louder

    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))


@pytest.fixture(scope="session")
def make_search(tiny_base: Path, experts: list[Path]) -> Callable[..., SearchConfig]:
    """A search of well under a second: ``make_search(folder, dev items, test items, **settings)``;
    its task is ``folder/words.json``, its run ``folder/run`` unless `out` is given.
    """
    from search_helpers import questions, small, write_task

    def make(
        folder: Path, dev: int, test: int, /, metric: str | None = None, out: str = "", **more: Any
    ) -> SearchConfig:
        how = {} if metric is None else {"metric": metric}
        task = write_task(folder / "words.json", questions(dev, 1), questions(test, 2), **how)
        return small(tiny_base, experts, [task], out or folder / "run", **more)

    return make


@pytest.fixture
def words_search(
    make_search: Callable[..., SearchConfig], tmp_path: Path
) -> Callable[..., SearchConfig]:
    """`make_search` in the test's own directory."""
    return partial(make_search, tmp_path)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """``swarm-llm`` in this process."""
    from search_helpers import Shell

    return Shell(capsys)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, int], Answer]], Server]]:
    pytest.importorskip("openai")
    servers: list[Server] = []

    def start(reply: Callable[[str, int], Answer]) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def judge_at(environ: MutableMapping[str, str]) -> Callable[..., None]:
    """Say where the judge is, from now on in this test."""

    def put(url: str = "http://127.0.0.1:9/v1", model: str = "m", **more: str) -> None:
        for name, value in {"url": url, "model": model, **more}.items():
            environ[f"SWARM_LLM_JUDGE_{name.upper()}"] = value

    return put


@pytest.fixture
def columns(environ: MutableMapping[str, str]) -> Callable[[int], None]:
    """Say how wide the terminal is."""
    return lambda width: environ.update(COLUMNS=str(width))


@pytest.fixture
def own_cache(tmp_path: Path, environ: MutableMapping[str, str]) -> Path:
    """An empty cache of the user."""
    environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take modules away."""

    def take(*modules: str) -> None:
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)

    return take


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put functions in the place of those that the commands call."""

    def put(**functions: Any) -> None:
        monkeypatch.setattr("pyswarmopt_llm.cli.search.check_files", lambda config, specs: None)
        monkeypatch.setattr("pyswarmopt_llm.cli.search.check_model", lambda name: None)
        for name, function in functions.items():
            monkeypatch.setattr(f"pyswarmopt_llm.api.{name}", function)

    return put


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Say who stands for the members that a command names."""
    import pyswarmopt_groups.run as group_run

    return lambda members: monkeypatch.setattr(group_run, "open_members", lambda *_, **__: members)


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members in this process write a few tokens only: random models never come to an end."""
    from pyswarmopt_groups.members.local import LocalMember
    from pyswarmopt_groups.members.protocol import GREEDY, Sampling

    whole = LocalMember.generate

    def cut(self: Any, prompts: Any, how: Sampling = GREEDY) -> Any:
        return whole(self, prompts, replace(how, max_new_tokens=min(how.max_new_tokens or 10, 10)))

    monkeypatch.setattr(LocalMember, "generate", cut)


@pytest.fixture
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to questions are of eight tokens: random models never come to an end."""
    monkeypatch.setattr("pyswarmopt_llm.scores.metrics.accuracy.MAX_NEW_TOKENS", 8)


# Searches with several workers


@pytest.fixture(scope="session")
def crew_config(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SearchConfig]:
    """Five particles, two moves, letters tried first; `fragile.py` of `workers_helpers`
    is beside the task.
    """
    from search_helpers import louder, questions, small, write_task
    from workers_helpers import FRAGILE

    folder = tmp_path_factory.mktemp("workers")
    task = write_task(folder / "words.json", questions(16, 1), questions(8, 2))
    (folder / "fragile.py").write_text(FRAGILE)
    (folder / "plan").write_text("")
    experts = louder(tiny_experts, folder / "loud")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield small(tiny_base, experts, [task], "run", max_iter=2, batch_tokens=256, scoring="auto")
