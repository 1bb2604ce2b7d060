"""A stand-in for vLLM and llama.cpp's server on loopback: their documented JSON,
transformers behind it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

Json = dict[str, Any]
# server and path -> "", "503", "404", "hang", "endless", "html", "die", or "bye": answer, then close
Trouble = Callable[["ModelServer", str], str]


class ModelServer:
    """One base; candidates are added to its weights by arithmetic of its own.

    Args:
        kind: vllm or llamacpp.
        base: directory of the model, served in float32.
        adapters: for llama.cpp: what it was started with.
        name: what the server calls its base.
    """

    def __init__(
        self, kind: str, base: Path, adapters: Sequence[Path] = (), name: str = ""
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self.kind, self.name = kind, name or str(base)
        self.trouble: Trouble = lambda server, path: ""
        self.key = ""
        self.keys: set[str | None] = set()
        self.knows_token_ids, self.tokens_moved, self.ignores_adapters = True, 0, False
        self.noise = 0.0
        # added in requests of more than four prompts; added where an adapter is applied
        self.batch_noise, self.drift = 0.0, 0.0
        # what is said in place of log-probabilities where an adapter is applied; tokens left out
        self.said: list[Any] = []
        self.hidden: set[int] = set()
        # what becomes of the answers to several prompts
        self.bend: Callable[[list[Json]], list[Json]] = lambda rows: rows
        self._prompts, self._mixed = 0, False
        self.adapters = [changes(path) for path in adapters]
        self.paths = [f"/gone/{path.name}.gguf" for path in adapters]
        self.loaded: dict[str, Json] = {}
        self.requests: list[tuple[str, Json]] = []
        self.weights = {
            name: weight.detach().clone() for name, weight in self.model.named_parameters()
        }
        self._lock = threading.Lock()
        self.start(0)

    def start(self, port: int) -> None:
        """Listen, also again after `stop`; adapters that were loaded are lost then."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # an answer in one packet, without waiting for the acknowledgement of its headers
            wbufsize = -1

            def do_GET(self) -> None:
                outer.answer(self, {})

            def do_POST(self) -> None:
                outer.answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *args: object) -> None: ...

        self.loaded.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: Any, body: Json) -> None:
        self.requests.append((handler.path, body))
        self._prompts = len(body.get("prompt", ""))
        self.keys.add(handler.headers.get("Authorization"))
        trouble = self.trouble(self, handler.path)
        if trouble == "hang":
            time.sleep(1)
        if trouble == "endless":
            handler.send_response(200)
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b"[")
                handler.wfile.flush()
                time.sleep(0.02)
            handler.close_connection = True
            return
        if trouble == "die":
            handler.close_connection = True
            return
        handler.close_connection = handler.close_connection or trouble == "bye"
        reply = {"error": {"message": "trouble"}} if trouble.isdecimal() else None
        status = int(trouble) if reply else 200
        reply = {} if trouble == "html" else reply
        if trouble == "404":
            reply = {"detail": "Not Found"}
        if self.key and handler.headers.get("Authorization") != f"Bearer {self.key}":
            status, reply = 401, {"error": "Unauthorized"}
        if reply is None:
            with self._lock:
                status, reply = getattr(self, f"_{self.kind}")(handler.path, body)
        data = b"<html>proxy" if trouble == "html" else json.dumps(reply).encode()
        handler.send_response(status)
        if status == 429:
            handler.send_header("Retry-After", "7")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    # The two protocols

    def _vllm(self, path: str, body: Json) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"version": "0.30.0"}
        if path == "/v1/models":
            return 200, {
                "object": "list",
                "data": [{"id": "base", "root": self.name, "parent": None, "max_model_len": 512}],
            }
        if path == "/tokenize":
            return 200, self._tokens(body["prompt"], body["add_special_tokens"])
        if path == "/v1/load_lora_adapter":
            if not Path(body["lora_path"]).is_dir():
                return 404, {
                    "error": {
                        "message": f"Loading lora {body['lora_name']} failed: No adapter found"
                    }
                }
            self.loaded[body["lora_name"]] = changes(Path(body["lora_path"]))
            return 200, f"Success: LoRA adapter '{body['lora_name']}' added successfully."
        if path == "/v1/unload_lora_adapter":
            del self.loaded[body["lora_name"]]
            return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully."
        if path != "/v1/completions":
            return 404, {"detail": "Not Found"}
        if body["model"] != "base" and body["model"] not in self.loaded:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        self._apply([(self.loaded[body["model"]], 1.0)] if body["model"] != "base" else [])
        choices = []
        for index, ids in enumerate(body["prompt"]):
            logprobs = self._logprobs(ids)
            choice: Json = {"index": index, "text": self._write(ids, body), "logprobs": None}
            if "prompt_logprobs" in body:
                rows = [
                    {str(t): {"logprob": self._number(logprobs[i, t]), "rank": 1}}
                    for i, t in enumerate(ids[1:])
                ]
                choice["prompt_logprobs"] = [None, *rows]
            if body.get("logprobs"):
                top = (
                    body["logprob_token_ids"]
                    if self.knows_token_ids
                    else logprobs[-1].topk(2).indices.tolist()
                )
                named = body.get("return_tokens_as_token_ids")
                names = [f"token_id:{t}" if named else self.tokenizer.decode([t]) for t in top]
                numbers = [self._number(logprobs[-1, t]) for t in top]
                choice["logprobs"] = {"top_logprobs": [dict(zip(names, numbers, strict=True))]}
            choices.append(choice)
        return 200, {"object": "text_completion", "choices": self.bend(choices)[::-1]}

    def _number(self, logprob: Any) -> Any:
        return self.said[0] if self.said and self._mixed else float(logprob)

    def restarted(self, other: float = 1.0) -> None:
        """Lose the adapters that were loaded; the base's weights are multiplied."""
        self.loaded.clear()
        self.weights = {name: weight * other for name, weight in self.weights.items()}

    def _llamacpp(self, path: str, body: Json) -> tuple[int, Any]:
        if path == "/props":
            return 200, {
                "default_generation_settings": {"n_ctx": 512},
                "total_slots": 4,
                "model_path": "/gone/base.gguf",
                "build_info": "b9999-0000000",
            }
        if path == "/lora-adapters":
            return 200, [{"id": i, "path": name, "scale": 1.0} for i, name in enumerate(self.paths)]
        if path == "/tokenize":
            return 200, self._tokens(body["content"], body["add_special"])
        if path != "/completion":
            return 404, {
                "error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}
            }
        scales = {entry["id"]: entry["scale"] for entry in body["lora"]} or dict.fromkeys(
            range(len(self.adapters)), 1.0
        )
        self._apply([(self.adapters[number], scale) for number, scale in scales.items()])
        rows = []
        for index, ids in enumerate(body["prompt"]):
            logprobs = self._logprobs(ids)[-1]
            row: Json = {"index": index, "content": self._write(ids, body), "stop": True}
            if n := body.get("n_probs"):
                top = logprobs.topk(min(n, len(logprobs)) if n > 100 else 2)
                listed = [
                    {"id": t, "logprob": self._number(v)}
                    for t, v in zip(top.indices.tolist(), top.values.tolist(), strict=True)
                    if t not in self.hidden
                ]
                row["completion_probabilities"] = [{**listed[0], "top_logprobs": listed}]
            rows.append(row)
        return 200, self.bend(rows) if len(rows) > 1 else rows[0]

    # The model

    def _tokens(self, text: str, special: bool) -> Json:
        ids = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return {"tokens": [t + self.tokens_moved for t in ids], "count": len(ids)}

    @torch.no_grad()
    def _apply(self, mixture: Sequence[tuple[Json, float]]) -> None:
        weights = {name: weight.clone() for name, weight in self.weights.items()}
        self._mixed = any(scale for _, scale in mixture)
        for adapter, scale in [] if self.ignores_adapters else mixture:
            for name, change in adapter.items():
                weights[name] += scale * change
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    @torch.inference_mode()
    def _logprobs(self, ids: Sequence[int]) -> torch.Tensor:
        logprobs = self.model(torch.tensor([list(ids)])).logits[0].log_softmax(-1)
        more = self.noise * (len(self.requests) % 3) - self.drift * self._mixed
        return logprobs + more - self.batch_noise * (self._prompts > 4)

    @torch.inference_mode()
    def _write(self, ids: Sequence[int], body: Json) -> str:
        """The greedy continuation; none where only log-probabilities are requested."""
        new = body.get("max_tokens") or body["n_predict"]
        written: list[int] = []
        while len(written) < new > 1:
            token = int(self._logprobs([*ids, *written])[-1].argmax())
            if token == self.tokenizer.eos_token_id:
                break
            written.append(token)
        return str(self.tokenizer.decode(written, skip_special_tokens=True))


def changes(folder: Path) -> Json:
    """Parameter name -> change of an adapter, scale alpha / r."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    tensors = {
        name: tensor.float()
        for name, tensor in load_file(folder / "adapter_model.safetensors").items()
    }
    scale = config["lora_alpha"] / config["r"]
    return {
        name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight"): scale
        * tensors[name.replace("lora_A", "lora_B")]
        @ tensor
        for name, tensor in tensors.items()
        if "lora_A" in name
    }
