"""Reading adapters: against peft's own arithmetic, and that nothing but `UserError` comes out of
broken files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts import patterns
from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import atomic_directory

MODULE = "model.layers.0.self_attn.q_proj"


def peft_deltas(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """Parameter name -> scale * B @ A in float32, as peft computes it."""
    import peft
    from transformers import AutoModelForCausalLM

    model = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), adapter
    )
    layers = {
        n: m for n, m in model.base_model.model.named_modules() if hasattr(m, "get_delta_weight")
    }
    return {f"{name}.weight": layer.get_delta_weight("default") for name, layer in layers.items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rank": 3, "alpha": 5},
        {"use_rslora": True},
        {
            "rank_pattern": {"k_proj": 2, "layers.1.self_attn.v_proj": 6},
            "alpha_pattern": {r"layers\.0\..*": 3},
        },
        {"target_modules": r".*layers\.1\..*(q|up)_proj"},
        {"layers_to_transform": [1]},
    ],
)
def test_factors_are_what_peft_adds(
    tiny_base: Path, make_expert: Callable[..., Path], options: dict
) -> None:
    path = make_expert("expert", 7, **options)
    expected = peft_deltas(tiny_base, path)
    changes = load_factors(read_adapter(path))
    assert changes.keys() == expected.keys()
    for name, change in changes.items():
        assert change.b.dtype == change.a.dtype == torch.float32
        torch.testing.assert_close(change.dense(), expected[name], rtol=1e-6, atol=1e-6)


def test_header_alone_tells_shapes(tiny_experts: list[Path]) -> None:
    info = read_adapter(tiny_experts[0])
    assert info.name == "ant"
    assert info.target_modules == ("k_proj", "o_proj", "q_proj", "v_proj")
    # hidden 32, 4 query heads and 2 key-value heads of 8: k and v are 16 x 32; rank 4, alpha 8
    assert {name.rsplit(".")[-1]: s.weight_shape for name, s in info.modules.items()} == {
        "q_proj": (32, 32),
        "k_proj": (16, 32),
        "v_proj": (16, 32),
        "o_proj": (32, 32),
    }
    assert {(s.rank, s.scale) for s in info.modules.values()} == {(4, 2.0)}
    assert inspect_experts(tiny_experts[:1]).rows[0].parameters == 2 * 4 * (
        2 * (32 + 32) + 2 * (16 + 32)
    )


def test_scale_by_hand(by_hand: Callable[..., Path]) -> None:
    factors = {MODULE: ([[1.0], [2.0]], [[3.0, 4.0]])}
    plain = by_hand("plain", factors, lora_alpha=3)
    change = load_factors(read_adapter(plain))[f"{MODULE}.weight"]
    assert change.dense().tolist() == [[9.0, 12.0], [18.0, 24.0]]
    assert change.b.tolist() == [[3.0], [6.0]]


def test_fingerprint_follows_weights_and_scale(by_hand: Callable[..., Path]) -> None:
    factors = {MODULE: ([[1.0], [2.0]], [[3.0, 4.0]])}
    other = {MODULE: ([[1.0], [2.0]], [[3.0, 4.5]])}
    first, twin = by_hand("first", factors), by_hand("twin", factors, lora_dropout=0.1)
    scaled, changed = by_hand("scaled", factors, lora_alpha=2), by_hand("changed", other)
    prints = [read_adapter(path).fingerprint for path in (first, twin, scaled, changed)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def _rewrite(path: Path, change: Callable[[dict], None]) -> None:
    file = path / "adapter_config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


def _tensors(path: Path, change: Callable[[dict], None]) -> None:
    file = path / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    safetensors.torch.save_file(tensors, file)


KEY_A, KEY_B = (f"base_model.model.{MODULE}.lora_{f}.weight" for f in "AB")

BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (
        lambda p: (p / "adapter_config.json").unlink(),
        "adapter_config.json: cannot be read",
    ),
    "no weights": (
        lambda p: (p / "adapter_model.safetensors").unlink(),
        "adapter_model.safetensors: cannot be read",
    ),
    "pickle": (
        lambda p: (p / "adapter_model.safetensors").rename(p / "adapter_model.bin"),
        "adapter_model.bin: is a pickle",
    ),
    "bad json": (
        lambda p: (p / "adapter_config.json").write_text('{\n"r": 4,\n'),
        "line 3: not valid JSON",
    ),
    "json list": (lambda p: (p / "adapter_config.json").write_text("[]"), "not an object"),
    "other peft type": (lambda p: _rewrite(p, lambda c: c.update(peft_type="IA3")), "only LORA"),
    "rank text": (lambda p: _rewrite(p, lambda c: c.update(r="4")), "r is '4'"),
    "rank differs": (lambda p: _rewrite(p, lambda c: c.update(r=8)), "says rank 8"),
    "alpha nan": (
        lambda p: _rewrite(p, lambda c: c.update(lora_alpha=float("nan"))),
        "lora_alpha is nan",
    ),
    "saved modules": (
        lambda p: _rewrite(p, lambda c: c.update(modules_to_save=["lm_head"])),
        "modules_to_save is set",
    ),
    "bias": (lambda p: _rewrite(p, lambda c: c.update(bias="all")), "bias is 'all'"),
    "pissa": (
        lambda p: _rewrite(p, lambda c: c.update(init_lora_weights="pissa")),
        "changes the base's weights",
    ),
    "bad pattern": (
        lambda p: _rewrite(p, lambda c: c.update(rank_pattern={"(": 2})),
        "malformed pattern",
    ),
    "truncated": (
        lambda p: (p / "adapter_model.safetensors").write_bytes(
            (p / "adapter_model.safetensors").read_bytes()[:-1]
        ),
        "truncated or corrupt",
    ),
    "empty file": (
        lambda p: (p / "adapter_model.safetensors").write_bytes(b""),
        "not safetensors (0 bytes)",
    ),
    "absurd header": (
        lambda p: (p / "adapter_model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
        "truncated or not safetensors",
    ),
    "no tensors": (lambda p: _tensors(p, dict.clear), "has no LoRA weights"),
    "partner": (lambda p: _tensors(p, lambda t: t.pop(KEY_B)), f"{MODULE} has no lora_B.weight"),
    "nan": (lambda p: _tensors(p, lambda t: t[KEY_A].fill_(float("nan"))), "NaN or infinite"),
    "inf": (lambda p: _tensors(p, lambda t: t[KEY_B].fill_(float("inf"))), "NaN or infinite"),
    "embedding": (
        lambda p: _tensors(
            p,
            lambda t: t.update(
                {"base_model.model.model.embed_tokens.lora_embedding_A": t[KEY_A] + 0}
            ),
        ),
        "adapts an embedding",
    ),
    "foreign key": (
        lambda p: _tensors(p, lambda t: t.update({"lm_head.weight": t[KEY_A] + 0})),
        "is not a LoRA weight",
    ),
    "integers": (
        lambda p: _tensors(p, lambda t: t.update({KEY_A: t[KEY_A].to(torch.int32)})),
        "stored as I32",
    ),
    "targets": (lambda p: _rewrite(p, lambda c: c.update(target_modules=3)), "target_modules is 3"),
    "layers": (
        lambda p: _rewrite(p, lambda c: c.update(layers_to_transform=["0"])),
        "layers_to_transform is ['0']",
    ),
    "before layers": (
        lambda p: _rewrite(p, lambda c: c.update(layers_to_transform=[0], layers_pattern=[3])),
        "layers_pattern is [3]",
    ),
    "no layers": (
        lambda p: _rewrite(p, lambda c: c.update(layers_pattern="h")),
        "without layers_to_transform",
    ),
    "excluded": (
        lambda p: _rewrite(p, lambda c: c.update(exclude_modules=[None])),
        "exclude_modules is [None]",
    ),
    "huge": (
        lambda p: _tensors(p, lambda t: t[KEY_A].fill_(3e38)),
        f"the weights of {MODULE} are so large",
    ),
    "dora": (lambda p: _rewrite(p, lambda c: c.update(use_dora=True)), "is DoRA"),
    "megatron": (
        lambda p: _rewrite(p, lambda c: c.update(megatron_config={"a": 1})),
        "megatron_config is set",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_adapters_are_refused_in_one_line(
    case: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "expert"
    shutil.copytree(tiny_experts[0], path)
    load_adapter(read_adapter(path))  # whole before
    breaks, message = BROKEN[case]
    breaks(path)
    with pytest.raises(UserError) as error:
        load_adapter(read_adapter(path))
    assert message in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


DEEP = "(" * 5000 + "q_proj" + ")" * 5000
BOMBS = {
    "nested": (DEEP, "nested too deeply"),
    "counted": ("((.{900}){900}){900}", "repeats too much"),
    "huge count": ("(?:q_proj){99999999999999999999}", "repeats too much"),
    "long": ("|".join(["q_proj"] * 20_000), "too long"),
    "fuzzy in regex alone": ("(?:q_prok){e<=1}", "counts nothing"),
    "a class in regex alone": ("[[:alpha:]_]+", "'[:'"),
    "malformed in its frame": ("(?i)Q_PROJ", "malformed"),
}
PLACES: dict[str, Callable[[str], dict]] = {
    "rank_pattern": lambda text: {"rank_pattern": {text: 4}},
    "alpha_pattern": lambda text: {"alpha_pattern": {text: 8}},
    "target_modules": lambda text: {"target_modules": text},
    "exclude_modules": lambda text: {"exclude_modules": text},
    "layers_pattern": lambda text: {"layers_pattern": [text], "layers_to_transform": [0]},
}


def _with_options(expert: Path, path: Path, options: dict) -> Path:
    shutil.copytree(expert, path)
    _rewrite(path, lambda config: config.update(options))
    return path


UNFRAMED = ("target_modules", "exclude_modules")  # peft puts no frame around these


@pytest.mark.parametrize(
    ("bomb", "place"),
    [(b, p) for b in BOMBS for p in PLACES if b != "malformed in its frame" or p not in UNFRAMED],
)
def test_patterns_that_would_not_end_are_refused(
    bomb: str, place: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    text, message = BOMBS[bomb]
    path = _with_options(tiny_experts[0], tmp_path / "expert", PLACES[place](text))
    with pytest.raises(UserError, match=f"adapter_config.json: {place} has the") as error:
        read_adapter(path)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["(?:.|..|...)*(?<![a-z0-9])", "(?:(?:.{1,9}){1,9}){1,9}[A-Z]"])
def test_patterns_that_take_years_are_given_up(
    text: str, place: str, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns.Patterns.__init__, "__defaults__", (0.02,))
    path = _with_options(tiny_experts[0], tmp_path / "expert", PLACES[place](text))
    with pytest.raises(
        UserError, match=f"adapter_config.json: {place} .* takes too long to match; write it"
    ):
        read_adapter(path)


def test_a_pattern_that_re_would_not_finish_matches_nothing(
    tiny_experts: list[Path], tmp_path: Path
) -> None:
    path = _with_options(
        tiny_experts[0], tmp_path / "expert", {"rank_pattern": {"(a|a|[a-z0-9._]+)+!": 9}}
    )
    assert {shape.rank for shape in read_adapter(path).modules.values()} == {4}


def test_the_time_for_patterns_is_that_of_all_matches(tmp_path: Path) -> None:
    owner = patterns.Patterns(tmp_path / "adapter_config.json", seconds=0.05)
    slow = owner.compile("rank_pattern", "(?:.|..|...)*(?<![a-z])")
    with pytest.raises(UserError, match="takes too long"):
        for length in range(1, 100):
            slow.fullmatch("a" * length)
    assert owner.seconds < 0.05


@pytest.mark.parametrize(
    "spec", ["no/such/place", "nowhere", "./org/name", "some-org/no-such-adapter"]
)
def test_missing_directory(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=spec):
        read_adapter(spec)


@settings(max_examples=300)
@given(data=st.data())
def test_corrupted_bytes_never_give_a_traceback(
    data: st.DataObject, tmp_path: Path, by_hand_once: Path
) -> None:
    """Bytes of header, config or data overwritten, cut or inserted: a reading or a `UserError`,
    nothing else.
    """
    path = tmp_path / "fuzzed"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(by_hand_once, path)
    file = path / data.draw(st.sampled_from(["adapter_model.safetensors", "adapter_config.json"]))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 12))
        content[place : place + cut] = data.draw(
            st.one_of(st.binary(max_size=12), st.sampled_from(_SPICE))
        )
    file.write_bytes(content)
    _read_or_refuse(path)


_SPICE = [
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 5000,
    b"[" * 3000,
    b'"',
    b"{}",
    b"true",
    b"\xff\xfe",
    b"\x00" * 8,
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_OPTIONS = [
    *(
        "base_model_name_or_path",
        "r",
        "lora_alpha",
        "rank_pattern",
        "alpha_pattern",
        "target_modules",
        "bias",
    ),
    *(
        "use_rslora",
        "use_dora",
        "modules_to_save",
        "init_lora_weights",
        "layers_to_transform",
        "peft_type",
    ),
    *("layers_pattern", "exclude_modules", "fan_in_fan_out"),
]


@settings(max_examples=200)
@given(options=st.dictionaries(st.sampled_from(_OPTIONS), _JSON, max_size=3))
def test_any_config_values_never_give_a_traceback(
    options: dict, tmp_path: Path, by_hand_once: Path
) -> None:
    path = tmp_path / "fuzzed"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(by_hand_once, path)
    _rewrite(path, lambda config: config.update(options))
    _read_or_refuse(path)


@settings(max_examples=200)
@given(
    entry=st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), _JSON),
    name=st.text(max_size=8),
)
def test_any_header_values_never_give_a_traceback(
    entry: dict, name: str, tmp_path: Path, by_hand_once: Path
) -> None:
    path = tmp_path / "fuzzed"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(by_hand_once, path)
    file = path / "adapter_model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    key = next(key for key in header if key.endswith("lora_A.weight"))
    header[name or key] = {**header[key], **entry}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    _read_or_refuse(path)


@pytest.fixture
def by_hand_once(tmp_path: Path, by_hand: Callable[..., Path]) -> Path:
    return by_hand(
        "whole", {MODULE: ([[1.0], [2.0]], [[3.0, 4.0]])}, base_model_name_or_path="some/base"
    )


def _read_or_refuse(path: Path) -> None:
    try:
        adapter = load_adapter(read_adapter(path))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(
            torch.isfinite(f.a).all() and torch.isfinite(f.b).all()
            for f in adapter.factors.values()
        )


def test_atomic_directory_leaves_nothing_behind_on_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_atomic_directory_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(UserError, match="exists already"), atomic_directory(tmp_path / "out"):
        pass
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "mine"]
