"""How long a reader of the page of living models waits for its first reply, and with a slower CPU.

    python docs/tools/models_page.py --out models.html
    python research/benchmarks/models_page.py models.html --slower 1 6

Needs chromedriver on the PATH. Chromium's own throttling stands for a phone's CPU. The page may take 2
seconds on a laptop, and 6 at a sixth of its speed. On a busy machine look at the time of the CPU, which others do not
change: that of the page's thread until its first scores were seen, a little after the reply.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

PORT = 9517
SERVER = f"http://127.0.0.1:{PORT}"
OPTIONS = {"args": ["--headless", "--no-sandbox", "--disable-gpu"]}


def main() -> None:
    """Print a line for each speed."""
    parser = argparse.ArgumentParser(description="Time until the page's first reply.")
    parser.add_argument("page", type=Path)
    parser.add_argument("--slower", type=float, nargs="+", default=[1.0, 6.0], metavar="TIMES")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    args = parser.parse_args()
    for slower in args.slower:
        waits = [first_reply(args.page, slower) for _ in range(args.repeats)]
        reply, cpu = (median(times) for times in zip(*waits, strict=True))
        sys.stdout.write(f"CPU 1/{slower:g}: first reply after {reply:.1f} s, {cpu:.1f} s of CPU\n")
        sys.stdout.flush()


def first_reply(page: Path, slower: float) -> tuple[float, float]:
    """Seconds from opening the page to its first reply, and of its thread's CPU to the first scores."""
    with browser() as session:
        count = {"cmd": "Performance.enable", "params": {"timeDomain": "threadTicks"}}
        call(f"{session}/goog/cdp/execute", count)
        throttle = {"cmd": "Emulation.setCPUThrottlingRate", "params": {"rate": slower}}
        call(f"{session}/goog/cdp/execute", throttle)
        call(f"{session}/url", {"url": page.absolute().as_uri()})
        script = {"script": "return document.documentElement.dataset.ready", "args": []}
        while (ready := call(f"{session}/execute/sync", script)) is None:
            time.sleep(0.1)
        asked = {"cmd": "Performance.getMetrics", "params": {}}
        metrics = call(f"{session}/goog/cdp/execute", asked)["metrics"]
    cpu = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    return int(ready) / 1000, cpu


@contextmanager
def browser() -> Iterator[str]:
    """The address of a session of a new browser."""
    driver = subprocess.Popen(["chromedriver", f"--port={PORT}"], stdout=subprocess.DEVNULL)
    try:
        wait_for_driver()
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": OPTIONS}}
        made = call("session", {"capabilities": wanted})
        session = f"session/{made['sessionId']}"
        yield session
        call(session, None, "DELETE")
    finally:
        driver.terminate()
        driver.wait()


def wait_for_driver() -> None:
    """Return once the driver listens."""
    for _ in range(200):
        try:
            call("status", None, "GET")
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("chromedriver does not answer; is the port free?")


def call(path: str, content: object, method: str = "POST") -> Any:
    """A command of the WebDriver protocol."""
    body = None if content is None else json.dumps(content).encode()
    request = Request(f"{SERVER}/{path}", data=body, method=method)
    with urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]


if __name__ == "__main__":
    main()
