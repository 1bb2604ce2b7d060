"""The judge's client against `transformers serve`: what the server writes is what our engine
writes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from pyswarmopt_llm.common.files.http import Json
from pyswarmopt_llm.mix.load import open_model
from pyswarmopt_llm.published.judge import ChatClient

pytest.importorskip("httpx")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_serve_available(),
        reason='needs the server of transformers: pip install "transformers[serving]"',
    ),
]


@pytest.fixture(scope="module")
def url(tiny_base: Path) -> Iterator[str]:
    """A server in a process of its own, answering with the tiny base."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from transformers.cli.transformers import main; main()"
    words = ["serve", str(tiny_base), "--host", "127.0.0.1", "--port", str(port)]
    words += ["--device", "cpu", "--dtype", "float32"]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *words],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300  # it takes seconds, minutes where the machine is full
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f"transformers serve ended with {process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail("transformers serve does not listen after five minutes")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def test_a_real_server_answers_as_our_engine(url: str, tiny_base: Path, tmp_path: Path) -> None:
    prompts = ["Rate this reply.", "Which of two replies is better, and why?"]
    client = ChatClient(Json(url, "NO_KEY", "it", ""), str(tiny_base), tmp_path / "judge.jsonl", 12)
    found = client(prompts)
    engine = open_model(str(tiny_base), None, "float32", "cpu", None)
    assert found == engine.generate([engine.chat(prompt) for prompt in prompts], 12)
    spent = dict(client.usage)
    assert (spent["requests"], client(prompts)) == (2, found)  # the second time from the cache
    assert client.usage["requests"] == 2
    assert spent["completion_tokens"] >= 2
