"""Bytes: what tokens stand for, the sorted vocabulary, and a next byte against all tokenisations
written out.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from engine_reference import naive_logprobs, tokens_read
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers
from tokenizers import models as token_models
from tokens_helpers import byte_level, letters, member, sentence_piece
from transformers import PreTrainedTokenizerFast

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tokens.reading import Text, TextModel
from pyswarmopt_llm.tokens.vocabulary import require_common_alphabet, token_bytes
from pyswarmopt_llm.tokens.writing import END, ByteBeam, weights_within_word

TOKENIZERS = {
    "byte-level": byte_level(),
    "pieces": sentence_piece([("t", "h"), ("th", "e"), ("▁", "a")]),
}


@given(
    st.sampled_from(sorted(TOKENIZERS)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
@example("pieces", "the end: ▁")
def test_the_bytes_of_the_tokens_are_the_text(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    tokens = token_bytes(tokenizer)
    found = b"".join(
        tokens[i] or b"?" for i in tokenizer(text, add_special_tokens=False)["input_ids"]
    )
    assert found == (text.replace("▁", " ") if name == "pieces" else text).encode()


def with_normalizer(kind: str) -> Any:
    """A tokenizer that adds a space at the start (Llama 2's), or composes characters (Qwen's)."""
    if kind == "composes":
        tokenizer = copy.deepcopy(TOKENIZERS["byte-level"])
        tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
        return tokenizer
    tokenizer = copy.deepcopy(TOKENIZERS["pieces"])
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


READERS = {
    kind: TextModel(member(tokenizer))
    for kind, tokenizer in {
        **TOKENIZERS,
        "space": with_normalizer("space"),
        "composes": with_normalizer("composes"),
    }.items()
}


@given(
    st.sampled_from(sorted(READERS)), st.text(st.characters(exclude_characters="▁")), st.binary()
)
@example("space", " the", b"")
@example("space", "the end", b"\xf0\x9f")
@example("composes", "e\u0301 the", b"")
@example("byte-level", "the <|im_end|>", b"")
@example("pieces", "", b"\x80")
def test_a_member_reads_the_bytes_that_were_written(name: str, text: str, more: bytes) -> None:
    tokens = token_bytes(READERS[name].engine.tokenizer)
    written = text.encode() + more[:3]
    assert b"".join(tokens[i] or b"?" for i in READERS[name].encode(written)) == written


def word_piece() -> Any:
    raw = Tokenizer(token_models.WordPiece({"a": 0, "##b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    raw.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="[UNK]")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (word_piece(), "WordPiece.*does not define the bytes"),
        (letters("ab", []), "has no token for ' '"),
    ],
)
def test_a_tokenizer_that_cannot_write_what_others_write(other: Any, words: str) -> None:
    with pytest.raises(UserError, match=f"odd: .*{words}"):
        require_common_alphabet({"good": byte_level(), "odd": other})


# Texts


@pytest.mark.parametrize(
    "architecture", ["llama", "gpt2", "qwen3", "gemma3-short-window", "mistral-short-window"]
)
def test_reading_on_is_reading_anew(architecture: str) -> None:
    """Forward, back, and sideways from one text, against one plain forward pass over all tokens."""
    one = member(byte_level(), architecture)
    text_model = TextModel(one)
    start = Text(text_model, list(range(40, 70)))
    assert start.texts.sum() > 0  # which has it read
    ways = [(*start.ids, 5), (*start.ids, 5, 6, 7), start.ids[:12], (*start.ids[:12], 9, 9), (1, 2)]
    read = start
    for ids in [*ways, start.ids]:
        read = read.read(ids)
        plain = naive_logprobs(one.model, ids)[-1].exp().numpy()
        total = plain[text_model.ids].sum() + plain[text_model.ends].sum()
        assert read.texts == pytest.approx(plain[text_model.ids] / total, abs=1e-5)
        assert read.end == pytest.approx(plain[text_model.ends].sum() / total, abs=1e-5)
    # What was read from `start` has not changed it, and one token was fed.
    fed = tokens_read(one.model)
    again = [start.read((*start.ids, 5)).texts for _ in range(2)]
    assert again[0] == pytest.approx(again[1], abs=0) and fed == [1, 1]


# Next bytes


def all_tokenisations(text_model: TextModel, prompt: tuple[int, ...], text: bytes) -> float:
    """P(the answer begins with `text`): the sum over all token sequences that cover it, by plain
    forward passes.
    """
    tokens = dict(zip(text_model.ids.tolist(), text_model.texts, strict=True))

    def rest(ids: tuple[int, ...], left: bytes) -> float:
        if not left:
            return 1.0
        next_token = naive_logprobs(text_model.engine.model, (*prompt, *ids))[-1].exp()
        allowed = sum(float(next_token[i]) for i in [*tokens, *text_model.ends])
        found = 0.0
        for i, token in tokens.items():
            p = float(next_token[i]) / allowed
            if token.startswith(left):
                found += p
            elif left.startswith(token):
                found += p * rest((*ids, i), left[len(token) :])
        return found

    return rest((), text)


@pytest.mark.parametrize("text", [b"", b"a", b"ab", b"aba", b"bbab"])
def test_the_next_byte_is_that_of_all_tokenisations(text: bytes) -> None:
    tokenizer = letters("abc", [("a", "b"), ("b", "a"), ("ab", "a"), ("b", "b"), ("ba", "b")])
    text_model = TextModel(member(tokenizer, "gpt2"))
    prompt = (0, 2, 2)
    beam = ByteBeam(Text(text_model, prompt), paths=10_000, least=0.0)
    for byte in text:
        beam.push(byte)
    found = beam.next_bytes()
    before = all_tokenisations(text_model, prompt, text)
    expected = [
        all_tokenisations(text_model, prompt, text + sign) / before for sign in (b"a", b"b", b"c")
    ]
    assert found[list(b"abc")] == pytest.approx(expected, abs=1e-5)
    assert found[END] == pytest.approx(1.0 - sum(expected), abs=1e-5)
    assert found.sum() == pytest.approx(1.0)


def test_paths_that_died_are_cut_anew() -> None:
    """With one path kept the beam loses the right one; the text so far is then tokenised from its
    start.
    """
    tokenizer = letters("abc", [("a", "b"), ("ab", "a")])
    text_model = TextModel(member(tokenizer, "gpt2"))
    beam = ByteBeam(Text(text_model, (0, 2)), paths=1)
    for byte in b"abcabbacab":
        beam.push(byte)
        assert beam.next_bytes().sum() == pytest.approx(1.0)


# Mixtures


def test_a_word_has_the_probability_that_the_members_give_it() -> None:
    """sum_i c_i P_i(word), byte by byte; and behind the word the coefficients count anew."""
    tokenizer = letters("ab!", [("a", "b")])
    text_models = [TextModel(member(tokenizer, "gpt2", seed)) for seed in (0, 1)]
    weights = np.array([0.3, 0.7])

    def walk(seeds: list[int], start: Any) -> float:
        beams = [ByteBeam(Text(text_models[k], (0, 2)), paths=1000, least=0.0) for k in seeds]
        probability, within = 1.0, start
        for byte in b"abba!":
            shares = within * [beam.next_bytes()[byte] for beam in beams]
            probability *= shares.sum()
            within = weights_within_word(start, shares, byte)
            for beam in beams:
                beam.push(byte)
        assert within is start
        return probability

    own = [walk([k], np.ones(1)) for k in (0, 1)]
    assert walk([0, 1], weights) == pytest.approx(weights @ own)


def test_a_member_that_cannot_write_a_byte_is_silent() -> None:
    beam = ByteBeam(Text(TextModel(member(letters("ab", []), "gpt2")), (0,)))
    beam.push(ord("z"))
    assert not beam.next_bytes().any()
