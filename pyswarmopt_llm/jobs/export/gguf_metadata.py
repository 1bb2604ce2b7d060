"""The metadata of a GGUF file: hyperparameters and tokenizer, as llama.cpp reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.jobs.export.gguf_file import Layout, head_size, lora_alpha
from pyswarmopt_llm.jobs.export.source import Source
from pyswarmopt_llm.models.base import load_tokenizer
from pyswarmopt_llm.models.embedded import source_gguf
from pyswarmopt_llm.models.engines.tokenizing import leading_specials
from pyswarmopt_llm.models.files import read_json

# Regular expressions by which published tokenizers split a text, and llama.cpp's name for each.
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
_SPLITS: dict[tuple[str, ...], str] = {
    ("GPT-2",): "gpt-2",
    ("digits", "GPT-2"): "smollm",
    (_LLAMA_3, "bytes"): "llama-bpe",
    (_QWEN_2, "bytes"): "qwen2",
}


def model_metadata(source: Source, layout: Layout, kind: str) -> Callable[[Any], None]:
    """What describes a merged model: for `gguf_file.write_model`.

    A base that came from a GGUF file keeps what that file says of it, the tokenizer included.

    Raises:
        UserError: a tokenizer or a rotary embedding that llama.cpp is not told about here.
    """
    import gguf

    own = source_gguf(source.base.spec)
    parts = [_hyperparameters(source, layout), _tokenizer(source, layout)] if own is None else [_copied(own)]
    file_type = gguf.LlamaFileType.MOSTLY_Q8_0 if kind == "q8_0" else gguf.LlamaFileType.MOSTLY_F16

    def describe(writer: Any) -> None:
        writer.add_type(gguf.GGUFType.MODEL)
        for part in parts:
            part(writer)
        writer.add_file_type(file_type)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_origin(writer, source)

    return describe


def lora_metadata(source: Source) -> Callable[[Any], None]:
    """What describes an adapter: for `gguf_file.write_lora`."""
    import gguf

    def describe(writer: Any) -> None:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(lora_alpha(source.changes)))
        _add_origin(writer, source)

    return describe


def _add_origin(writer: Any, source: Source) -> None:
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, source.base.name)


def _copied(file: Path) -> Callable[[Any], None]:
    """All that a GGUF file says, but for what its own weights are."""
    import gguf

    own = (gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE, gguf.Keys.General.QUANTIZATION_VERSION)
    kept = [
        (field.name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
        for field in gguf.GGUFReader(file).fields.values()
        if not field.name.startswith("GGUF.") and field.name not in (*own, gguf.Keys.General.TYPE)
    ]

    def describe(writer: Any) -> None:
        for name, value, kind, inner in kept:
            writer.add_key_value(name, value, kind, inner)

    return describe


def _hyperparameters(source: Source, layout: Layout) -> Callable[[Any], None]:
    config = layout.config
    rope = config.rope_parameters
    if rope["rope_type"] not in ("default", "llama3", "linear"):
        raise UserError(
            f"{source.base.spec}: has rotary embeddings of type {rope['rope_type']}; use --format merged, then "
            "llama.cpp's convert_hf_to_gguf.py on it"
        )

    def describe(writer: Any) -> None:
        import gguf

        writer.add_name(Path(source.base.name).name)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(head_size(config))
        writer.add_value_length(head_size(config))
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_size(config))
        writer.add_rope_freq_base(rope["rope_theta"])
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])

    return describe


def _tokenizer(source: Source, layout: Layout) -> Callable[[Any], None]:
    """A byte-level BPE: its tokens in order of their ids, its merges, how it splits a text, its special tokens."""
    import gguf

    where = source.base.path
    stored = read_json(where / "tokenizer.json")
    split = split_name(stored)
    if split is None:
        raise UserError(
            f"{source.base.spec}: its tokenizer is not one of those written as GGUF (byte-level BPE that splits as "
            f"{', '.join(_SPLITS.values())}); use --format merged, then llama.cpp's convert_hf_to_gguf.py on it"
        )
    size = layout.config.vocab_size
    entries = _tokens(stored)
    if max(entries) >= size:
        raise UserError(f"{source.base.spec}: its tokenizer has ids up to {max(entries)}, the model only {size} rows")
    tokens, types = zip(*(entries.get(i, (f"[PAD{i}]", gguf.TokenType.UNUSED)) for i in range(size)), strict=True)
    special = gguf.SpecialVocab(where, load_merges=True, n_vocab=size)
    tokenizer = load_tokenizer(source.base)
    special.add_special_token["bos"] = leading_specials(tokenizer) == [tokenizer.bos_token_id]

    def describe(writer: Any) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(split)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        special.add_to_gguf(writer, quiet=True)

    return describe


def split_name(tokenizer: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for the way a byte-level BPE splits a text into words; None if it is none of those known here.

    Args:
        tokenizer: content of tokenizer.json.

    Example:
        >>> split_name({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel", "use_regex": True}})
        'gpt-2'
    """
    if (
        tokenizer["model"].get("type") != "BPE"
        or tokenizer["model"].get("byte_fallback")
        or tokenizer.get("normalizer")
    ):
        return None
    first = tokenizer.get("pre_tokenizer") or {}
    steps = first.get("pretokenizers", [first])
    return _SPLITS.get(tuple(_step(step) for step in steps))


def _step(step: Mapping[str, Any]) -> str:
    """One step of a pre-tokenizer in a word."""
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return "GPT-2" if step.get("use_regex", True) else "bytes"
    if kind == "Digits" and step.get("individual_digits"):
        return "digits"
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return str(step.get("pattern", {}).get("Regex"))
    return f"another {kind}"


def _tokens(tokenizer: Mapping[str, Any]) -> dict[int, tuple[str, Any]]:
    """Id -> token and what it is, a `gguf.TokenType`."""
    from gguf import TokenType

    found = {i: (token, TokenType.NORMAL) for token, i in tokenizer["model"]["vocab"].items()}
    for added in tokenizer.get("added_tokens", ()):
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        found[added["id"]] = (added["content"], kind)
    return found
