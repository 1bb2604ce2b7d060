"""Sequence classifiers from a directory or the hub, as metrics use them."""

from __future__ import annotations

from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.models.quiet import quiet_transformers


def load_classifier(spec: str, metric: str, kind: str, device: str = "cpu") -> tuple[Any, Any]:
    """Model in eval mode and tokenizer, in float32 on a CPU, else as it was saved.

    Args:
        spec: directory or hub id.
        metric: whose it is, for messages: ``reward`` of ``--metric reward:DIR``.
        kind: what it is to be, for messages.
        device: where it goes.

    Raises:
        UserError: it cannot be loaded, lacks weights, or has no pad token.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    where = str(user_path(spec)) if user_path(spec).is_dir() else spec
    options = {"trust_remote_code": False}
    weights = {"use_safetensors": True, "output_loading_info": True}  # never a pickle
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(where, **options)
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                where, dtype=torch.float32 if device == "cpu" else "auto", **options, **weights
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"--metric {metric}:{spec}: cannot be loaded as a {kind} ({reason})") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])[0]
        raise UserError(f"--metric {metric}:{spec}: lacks the weights {missing}; this is no {kind}")
    if tokenizer.pad_token_id is None:
        raise UserError(f"--metric {metric}:{spec}: its tokenizer has no pad token; set one and save it")
    return model.to(device).eval(), tokenizer
