"""A server that speaks the protocol of chat completions over HTTP, in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


def answer(text: str, status: int = 200, **headers: str) -> Answer:
    usage = {"total_tokens": 15}
    body = {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}
    return status, headers, json.dumps(body).encode()


class Server:
    """Answers by a function of the prompt; keeps the requests."""

    def __init__(self, reply: Callable[[str, int], Answer]) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(
                    {"path": self.path, "key": self.headers.get("Authorization"), **body}
                )
                outer.headers.append(dict(self.headers))
                status, headers, data = reply(body["messages"][0]["content"], len(outer.requests))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
