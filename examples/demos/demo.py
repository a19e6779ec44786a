"""Starts the demos: the broker, which serves the pages, the backend, and the same pages from a second origin.

Called by `make demo` and by the tests. Ends when it is told to (Ctrl-C, SIGTERM) or when the broker ends, and takes the
broker with it. Arguments are passed on to `bayeuxd serve`, like --set broker.max_interval=2s.

    BAYEUXD_BIN   the broker's program         ../../target/release/bayeuxd
    DEMO_PORT     broker and pages             8080
    DEMO_PORT_2   the pages once more          8001
    BACKEND_PORT  where the broker calls       9000

A port of 0 is any free one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
from pathlib import Path

import serve_pages
from backend.app import Backend

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIENT = ROOT / "clients/js/dist/browser/bayeux.js"
CONFIG = HERE / "bayeuxd.toml"
BACKEND_URL = "http://127.0.0.1:9000"  # in the configuration
STOP_SECONDS = 12  # the broker promises to be gone 10 s after SIGTERM


class Failed(Exception):
    """The demos cannot run; says why."""


def port(name, default):
    try:
        return int(os.environ.get(name, default))
    except ValueError as error:
        raise Failed(f"{name} is no port: {error}") from error


def listen(name, default, make):
    """Makes a server, or says which variable moves it elsewhere."""
    wanted = port(name, default)
    try:
        return make(("127.0.0.1", wanted))
    except OSError as error:
        raise Failed(f"cannot listen on port {wanted}: {error.strerror}; set {name} to another, or to 0") from error


def start_broker(config, arguments):
    program = os.environ.get("BAYEUXD_BIN", str(ROOT / "target/release/bayeuxd"))
    command = [program, "serve", "--config", config, "--listen", f"127.0.0.1:{port('DEMO_PORT', 8080)}"]
    command += ["--set", f"server.pages={HERE / 'www'}", *arguments]
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise Failed(f"cannot start {program}: {error.strerror}; `make build` makes it") from error


def address_of(broker):
    """Reads what the broker says until it tells where it is; what it says later is passed on."""
    said = []
    for line in broker.stderr:
        said.append(line)
        found = re.fullmatch(r"\s*Bayeux\s+(http\S+)\s*", line)
        if found:
            threading.Thread(target=pass_on, args=[broker.stderr], daemon=True).start()
            return found[1]
    raise Failed("the broker did not start:\n" + "".join(said))


def pass_on(lines):
    for line in lines:
        # The greeting is for whoever starts a broker by hand.
        if re.search(r"\b(WARN|ERROR)\b", line):
            print(line, end="", file=sys.stderr, flush=True)


def end(broker):
    broker.terminate()
    try:
        broker.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        broker.kill()
        broker.wait()


def run(arguments):
    if not CLIENT.exists():
        raise Failed(f"{CLIENT} is not there: run `npm ci && npm run build` in clients/js")
    shutil.copyfile(CLIENT, HERE / "www/bayeux.js")
    secrets = tomllib.loads(CONFIG.read_text())["backend"]["secrets"]
    backend = listen("BACKEND_PORT", 9000, lambda address: Backend(address, secrets))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(CONFIG.read_text().replace(BACKEND_URL, backend.url))
        config.flush()
        broker = start_broker(config.name, arguments)
        try:
            endpoint = address_of(broker)
            here = endpoint.removesuffix("/bayeux")
            second = listen("DEMO_PORT_2", 8001, lambda address: serve_pages.server(address, endpoint))
            threading.Thread(target=second.serve_forever, daemon=True).start()
            there = f"http://127.0.0.1:{second.server_address[1]}"
            backend.start(here, [here, there])
            print(
                f"\n  Demos          {here}/        pages and broker at one address\n"
                f"  Cross-origin   {there}/        the same pages, talking to that broker\n"
                f"  Backend        {backend.url}         called by the broker\n\n"
                "  Open them in two windows. Ctrl-C ends everything.\n",
                flush=True,
            )
            status = broker.wait()
            raise Failed(f"the broker ended with status {status}")
        finally:
            end(broker)


def main():
    def asked_to_end(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, asked_to_end)
    signal.signal(signal.SIGHUP, asked_to_end)
    try:
        run(sys.argv[1:])
    except KeyboardInterrupt:
        print("\n  The demos have ended.", flush=True)
    except Failed as failure:
        sys.exit(f"demo: {failure}")


main()
