"""Prompts are tokenised as transformers and the harness do, on six kinds of tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_reference import random_model

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.batching import encode_pair
from pyswarmopt_llm.engine.chat import PromptTokenizer
from pyswarmopt_llm.engine.transformers import TransformersEngine

TEXT = ["the answer to the question is yes or no. " * 4, "Question: which? Answer: 1 2 3"]
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}<|end|>\n\n{{ m.content | trim }}"
    "<|eot|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROLES = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
ALPACA = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
    "{% if loop.previtem and loop.previtem.role == 'user' %}{{ raise_exception('two questions') }}"
    "{% endif %}### Instruction:\n{{ m.content }}{% else %}### Response:\n{{ m.content }}{% endif %}"
    "\n\n{% endfor %}### Response:\n"
)
# name -> whether tokens are bytes, special tokens around a text, chat template
KINDS: dict[str, tuple[bool, str, str]] = {
    "Llama 3": (True, "<s> $A", LLAMA),
    "Gemma": (False, "<s> $A", GEMMA),
    "Mistral": (False, "<s> $A", MISTRAL),
    "GPT-2": (True, "$A", CHATML),
    "Qwen": (True, "$A", CHATML),
    "RoBERTa": (True, "<s> $A </s>", CHATML),
    "BOS that the template leaves out": (True, "<s> $A", CHATML),
    "roles without a mark before": (True, "<s> $A", ROLES),
    "a system turn without a mark": (True, "<s> $A", ALPACA),
}
SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"]
CONTEXTS = [
    "Question: which?\nAnswer:",
    "the answer is  ",
    " is the answer",
    "<s>the answer",
    "<|im_start|>user\nthe answer",  # as a conversation begins, but given as is
    "a",
]


def tokenizer_of(kind: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    in_bytes, around, _ = KINDS[kind]
    raw = Tokenizer(models.BPE(byte_fallback=not in_bytes, unk_token=None))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if in_bytes:
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
    else:  # SentencePiece, as in tokenizer.json
        raw.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        space = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        raw.decoder = decoders.Sequence([*space, decoders.Strip(" ", 1, 0)])
        alphabet = [chr(sign) for sign in range(33, 127)] + ["▁", "\n"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(TEXT, trainer)
    pairs = [(name, SPECIALS.index(name)) for name in ("<s>", "</s>")]
    raw.post_processor = TemplateProcessing(single=around, special_tokens=pairs)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.fixture(params=[(kind, chat) for kind in KINDS for chat in (False, True)], ids=str)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    kind, chat = request.param
    made = tokenizer_of(kind)
    made.chat_template = KINDS[kind][2] if chat else None
    return made


@pytest.fixture(scope="module")
def harness() -> Callable[[Any], Any]:
    """The harness's own model class on a tokenizer."""
    model_class = pytest.importorskip("lm_eval.models.huggingface").HFLM
    model = random_model("llama", 420)
    return lambda tokenizer: model_class(pretrained=model, tokenizer=tokenizer, device="cpu")


def test_a_text_has_the_tokens_that_the_harness_feeds(tokenizer: Any, harness: Any) -> None:
    """But for special tokens at its end, which no text goes on from."""
    ours, theirs = PromptTokenizer(tokenizer, None), harness(tokenizer)
    for context in CONTEXTS:
        ids = theirs.tok_encode(context)
        context = ours.verbatim(context)
        closed = "</s>" in tokenizer.convert_ids_to_tokens(ids[-1:])
        assert ours.encode_prompt(context) == tuple(ids[:-1] if closed else ids)
        assert ours.count_tokens(context) == len(ids) - closed
        if closed:
            continue
        batch, _ = theirs.tok_batch_encode([context])
        assert list(ours.encode_prompt(context)) == batch[0].tolist()
        for continuation in (" yes", " no", " 1 2"):
            head, tail = theirs._encode_pair(context, continuation)
            if theirs.tok_encode(context + continuation) != [*head, *tail]:
                continue  # a token crosses the boundary: there the harness leaves text unscored
            assert encode_pair(ours.encode, context, continuation) == (tuple(head), tuple(tail))


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_has_the_tokens_that_transformers_gives(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    tokenizer.chat_template = KINDS[kind][2]
    engine = PromptTokenizer(tokenizer, None)
    earlier = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "This."}]
    for system, turns in (("", []), ("", earlier), ("Answer briefly.", earlier)):
        if system and kind in ("Gemma", "Mistral"):  # which take no system turn
            continue
        first = [{"role": "system", "content": system}] if system else []
        asked = [*first, *turns, {"role": "user", "content": "yes or no?"}]
        expected = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
        engine.system = system
        prompt = engine.chat("yes or no?", turns)
        assert list(engine.encode_prompt(prompt)) == expected
        head, _ = encode_pair(engine.encode, prompt, "yes")
        assert list(head) == expected[: len(head)]
        assert engine.count_tokens(prompt) == len(expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", ["\ufeff", "<s>"])
def test_what_stands_before_a_text_is_there_once(kind: str, start: str) -> None:
    """A byte order mark is no text, and BOS begins the conversation, not its question."""
    engine = PromptTokenizer(tokenizer_of(kind), None)
    for template in (None, KINDS[kind][2]):
        engine.tokenizer.chat_template = template
        with_start, without = (
            engine.encode_prompt(engine.chat(f"{before}yes or no?")) for before in (start, "")
        )
        if start in (engine.verbatim_start, "\ufeff"):
            assert with_start == without
        assert with_start.count(0) <= 1


def test_a_conversation_that_is_written_out_is_not_put_into_another() -> None:
    tokenizer = tokenizer_of("Qwen")
    tokenizer.chat_template = CHATML
    engine = PromptTokenizer(tokenizer, None)
    prompt = engine.chat("yes or no?")
    assert engine.chat(prompt) == prompt
    assert engine.chat("user: yes or no?") == prompt.replace("yes", "user: yes")


def test_a_token_that_the_model_does_not_have_is_named() -> None:
    """A tokenizer that was extended after the model: one that is not written does no harm."""
    tokenizer = tokenizer_of("Qwen")
    model = random_model("llama", len(tokenizer))
    tokenizer.add_tokens(["<new>"])
    engine = TransformersEngine(model, tokenizer)
    assert len(engine.loglikelihood([("a", " b")])) == 1
    for pair in (("a <new>", " b"), ("a", " <new>")):
        with pytest.raises(UserError, match=f"token id {len(tokenizer) - 1}, but"):
            engine.loglikelihood([pair])
    with pytest.raises(UserError, match=f"token id {len(tokenizer) - 1}, but"):
        engine.generate(["a <new>"], 3)
