"""Train small chat models of other architectures than SmolLM2, each with a tokenizer of its own.

For token swarms: members that share neither weights nor vocabulary, and that really know something.

* ``gpt2``: GPT-2 (learned positions, LayerNorm), byte-level BPE with GPT-2's spaces, plain-word
  chat template.
* ``gemma3``: Gemma 3 (RoPE, RMSNorm, grouped queries), BPE over characters with U+2581 for the
  space and bytes for what it has not seen, Gemma's turn markers.

Both learn generated skills only (`--skills`), from questions that no dev or test split holds, or
chats (`--data`). A third, ``llama`` (RoPE, RMSNorm, byte-level BPE in which a space is a token of
its own), is for `unlike_models.py`.

    python research/benchmarks/tokens/train_small_models.py --out models    # ten minutes for each
    python research/benchmarks/tokens/train_small_models.py --out models --only gpt2 \\
        --data sft/intent.jsonl --steps 1200
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from pyswarmopt_llm.searching.training.examples import load_examples

WINDOW = 256  # tokens
SPACE = "▁"
SKILLS = {"gpt2": ("sentiment", "arithmetic"), "gemma3": ("kinship", "dates", "strings")}

# No space at the end: it would belong to the answer's first token.
GPT2_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|bos|>User: {{ m['content'] "
    "}}\nAssistant:\n"
    "{% else %}{{ m['content'] }}<|eos|>{% endif %}{% endfor %}"
)
LLAMA_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|bos|>{{ m['content'] }}\n>"
    "{% else %}{{ m['content'] }}<|eos|>{% endif %}{% endfor %}"
)
GEMMA_TEMPLATE = (
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else 'user' }}\n"
    "{{ m['content'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt "
    "%}<start_of_turn>model\n{% endif %}"
)


def gpt2_tokenizer(texts: Sequence[str], size: int) -> Any:
    """Byte-level BPE; any text has an encoding."""
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _byte_level(texts, size, cut, GPT2_TEMPLATE)


def llama_tokenizer(texts: Sequence[str], size: int) -> Any:
    """Byte-level BPE in which no token holds a space and a letter."""
    spaces = pre_tokenizers.Split(" ", "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(texts, size, pre_tokenizers.Sequence([spaces, plain]), LLAMA_TEMPLATE)


def _byte_level(texts: Sequence[str], size: int, cut: Any, template: str) -> Any:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = cut
    raw.decoder = decoders.ByteLevel()
    specials = ["<|bos|>", "<|eos|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|bos|>", eos_token="<|eos|>", pad_token="<|eos|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def gemma_tokenizer(texts: Sequence[str], size: int) -> Any:
    """BPE over characters, a space written as U+2581, and one token for each byte for what is
    left.
    """
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    specials += [f"<0x{byte:02X}>" for byte in range(256)]
    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    raw.normalizer = normalizers.Replace(" ", SPACE)
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(rf"{SPACE}?[^{SPACE}\W]+|\W"), "isolated")
    raw.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    raw.train_from_iterator([text.replace("\n", " ") for text in texts], trainer)
    # The trainer marked the bytes as special; in the model they are ordinary tokens.
    plain = Tokenizer.from_str(raw.to_str())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_without_special_bytes(plain),
        bos_token="<bos>",
        eos_token="<end_of_turn>",
        pad_token="<pad>",
        unk_token="<unk>",
    )
    tokenizer.chat_template = GEMMA_TEMPLATE
    return tokenizer


def _without_special_bytes(raw: Tokenizer) -> Tokenizer:
    state = json.loads(raw.to_str())
    state["added_tokens"] = [
        token for token in state["added_tokens"] if not token["content"].startswith("<0x")
    ]
    return Tokenizer.from_str(json.dumps(state))


def gpt2(tokenizer: Any, width: int = 144, heads: int = 6) -> Any:
    """About one million weights."""
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    size = {"n_positions": WINDOW, "n_embd": width, "n_layer": 3, "n_head": heads}
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **size, **ids, **dropout))


def llama(tokenizer: Any, width: int, heads: int) -> Any:
    """Three layers."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=3,
        num_attention_heads=heads,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def gemma3(tokenizer: Any, width: int = 192, inner: int = 512, heads: int = 6) -> Any:
    """About two million weights; every layer sees all of the text, two heads share their keys."""
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=4,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=32,
        query_pre_attn_scalar=32,
        max_position_embeddings=WINDOW,
        sliding_window=WINDOW,
        layer_types=["full_attention"] * 4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Gemma3ForCausalLM(config)


KINDS = {
    "llama": (llama_tokenizer, llama),
    "gpt2": (gpt2_tokenizer, gpt2),
    "gemma3": (gemma_tokenizer, gemma3),
}


def encode(tokenizer: Any, examples: Sequence[dict[str, Any]]) -> list[tuple[list[int], int]]:
    """Ids of each chat, and where its answer begins."""
    encoded = []
    for example in examples:
        messages = example["messages"]
        before = tokenizer.apply_chat_template(
            messages[:-1], tokenize=False, add_generation_prompt=True
        )
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        head = tokenizer(before, add_special_tokens=False)["input_ids"]
        tail = tokenizer(whole[len(before) :].rstrip("\n"), add_special_tokens=False)["input_ids"]
        encoded.append(((head + tail)[:WINDOW], len(head)))
    return encoded


def train(
    model: Any, chats: list[tuple[list[int], int]], pad: int, steps: int, rng: random.Random
) -> float:
    """AdamW with warm-up and cosine decay; the answer weighs ten times the question."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.05)
    mean = math.nan
    model.train()
    for step in range(steps):
        rate = (
            2e-3
            * min(1.0, (step + 1) / 50)
            * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = sorted(rng.sample(chats, 16), key=lambda chat: len(chat[0]))
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch])
        weight = torch.zeros(len(batch), width)
        for k, (row, answer) in enumerate(batch):
            weight[k, 1 : len(row)], weight[k, answer : len(row)] = 0.1, 1.0
        logits = model(
            input_ids=ids, attention_mask=(weight > 0).long().index_fill_(1, torch.tensor([0]), 1)
        ).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        loss = (loss * weight[:, 1:].flatten()).sum() / weight.sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            print(f"  step {step + 1} of {steps}, loss {mean:.3f}", flush=True)
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(SKILLS))
    parser.add_argument("--skills", nargs="+", help="instead of the default ones")
    parser.add_argument(
        "--data", nargs="+", type=Path, help="JSONL files of chats, instead of skills"
    )
    parser.add_argument("--examples", type=int, default=6000, help="of each skill")
    parser.add_argument("--steps", type=int, default=2400, help="of each model")
    parser.add_argument("--vocabulary", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for kind in [args.only] if args.only else sorted(SKILLS):
        make_tokenizer, make_model = KINDS[kind]
        if args.data:
            skills = [str(file) for file in args.data]
            examples = [
                json.loads(line) for file in args.data for line in file.read_text().splitlines()
            ]
        else:
            skills = args.skills or SKILLS[kind]
            examples = [
                example
                for skill in skills
                for example in load_examples(f"builtin:{skill}", args.examples, args.seed)
            ]
        texts = [message["content"] for example in examples for message in example["messages"]]
        tokenizer = make_tokenizer(texts, args.vocabulary)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(args.seed)
            model = make_model(tokenizer)
            chats = encode(tokenizer, examples)
            weights = sum(p.numel() for p in model.parameters())
            print(
                f"{kind}: {weights:,} weights, {len(tokenizer)} tokens, {len(chats)} chats on "
                f"{', '.join(skills)}"
            )
            loss = train(model, chats, tokenizer.pad_token_id, args.steps, random.Random(args.seed))
        model.eval().to(torch.bfloat16).save_pretrained(args.out / kind)
        tokenizer.save_pretrained(args.out / kind)
        print(f"{kind}: loss {loss:.3f}, saved in {args.out / kind}", flush=True)


if __name__ == "__main__":
    main()
