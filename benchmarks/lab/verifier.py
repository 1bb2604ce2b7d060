"""A reward model of the laboratory: the base with one output, trained to tell right replies from wrong ones.

Right and wrong are balanced; a wrong reply is the right one with two letters exchanged or one replaced (Cobbe et al.
2021 call such a model a verifier).
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from lab_skills import PAIRS, SINGLES, chats, spoilt

STEPS, BATCH, RATE = 600, 64, 1e-3


def make_verifier(base: Path, out: Path) -> Path:
    """Train it, unless it is there; its folder."""
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    if (out / "config.json").exists():
        return out
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=tokenizer.pad_token_id)
    rng = random.Random("verifier")
    examples = chats(SINGLES + PAIRS, STEPS * BATCH, 5000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for step in range(STEPS):
        texts, right = [], []
        for chat in examples[step * BATCH : (step + 1) * BATCH]:
            question, reply = chat["messages"]
            letters = tuple(reply["content"].split())
            written = " ".join(letters if rng.random() < 0.5 else spoilt(rng, letters))
            texts.append(tokenizer.apply_chat_template([question, reply | {"content": written}], tokenize=False))
            right.append(float(written == reply["content"]))
        encoded = tokenizer(texts, padding=True, add_special_tokens=False, return_tensors="pt")
        logits = model(input_ids=encoded.input_ids, attention_mask=encoded.attention_mask).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(right))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out
