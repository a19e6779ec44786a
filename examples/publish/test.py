"""Runs every example of this folder whose language is installed: against a real broker, where exactly its message must
arrive, and against a stand-in that answers what a healthy broker does not.

Called by scripts/test.sh; alone:  python3 examples/publish/test.py [NAME]…
BAYEUXD_BIN names the broker's binary, by default the debug one. What cannot run is printed by name, with the reason.
"""

import json
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")).resolve()
BROKER = os.environ.get("BAYEUXD_BIN", str(TARGET / "debug/bayeuxd"))
DEADLINE = 60  # seconds; of one run of one example, compilers on a busy machine included
KEY = "k-1234567890"
DATA = {"text": 'Grüße "quoted" back\\slash 😀', "list": [1, 2.5, -3, None, True, {}], "nested": {"empty": []}}

# name: what must be installed, how it is built into a folder ({out}), how it is run
EXAMPLES = {
    "curl": (["sh", "curl"], None, ["sh", "publish.sh"]),
    "python": ([sys.executable], None, [sys.executable, "publish.py"]),
    "ruby": (["ruby"], None, ["ruby", "publish.rb"]),
    "php": (["php"], None, ["php", "publish.php"]),
    "go": (["go"], ["go", "build", "-o", "{out}/publish-go", "publish.go"], ["{out}/publish-go"]),
    "java": (["java"], None, ["java", "Publish.java"]),
    "csharp": (
        ["mcs", "mono"],
        ["mcs", "-r:System.Net.Http", "-out:{out}/Publish.exe", "Publish.cs"],
        ["mono", "{out}/Publish.exe"],
    ),
    "perl": (["perl"], None, ["perl", "publish.pl"]),
    "elixir": (["elixir"], None, ["elixir", "publish.exs"]),
    "node": (["node"], None, ["node", "publish.mjs"]),
    "rust": (["rustc"], ["rustc", "-o", "{out}/publish-rust", "publish.rs"], ["{out}/publish-rust"]),
}


class StandIn(BaseHTTPRequestHandler):
    """What comes instead of a broker: /NAME/accept takes a message and notes it, anything else is a broken proxy."""

    noted = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.noted[self.path] = (dict(self.headers.items()), body)
        if self.path.endswith("/accept"):
            self.answer(200, "application/json", b'[{"channel":"/a","successful":true}]')
        else:
            self.answer(502, "text/html", b"<html><h1>Bad Gateway</h1></html>")

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def lines_of(stream):
    """A queue of what a process says, so that waiting for it can have a deadline."""
    said = queue.Queue()
    threading.Thread(target=lambda: [said.put(line) for line in stream], daemon=True).start()
    return said


def wait_for(said, pattern):
    while True:
        if found := re.search(pattern, said.get(timeout=DEADLINE)):
            return found


class Run:
    """One example, and what of it does not hold."""

    def __init__(self, name, broker_url, stand_in_url, out):
        self.name, self.broker_url, self.stand_in_url = name, broker_url, stand_in_url
        _, self.build, self.run = EXAMPLES[name]
        self.fill = lambda words: [word.format(out=out) for word in words]
        self.problems = []

    def check(self, holds, what):
        if not holds:
            self.problems.append(what)

    def call(self, url, *arguments, key=None):
        environment = {**os.environ, "BAYEUX_URL": url, "LC_ALL": "C.UTF-8", "no_proxy": "127.0.0.1"}
        environment.pop("BAYEUX_KEY", None)
        if key:
            environment["BAYEUX_KEY"] = key
        return subprocess.run(
            self.fill(self.run) + list(arguments), cwd=HERE, env=environment, timeout=DEADLINE,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )

    def fails(self, done, saying, what):
        said = done.stderr.strip()
        short = len(said.splitlines()) <= 3 and "Traceback" not in said
        self.check(done.returncode not in (0, 255) and short and re.search(saying, said),
                   f"{what}: exit code {done.returncode}, said: {said}")

    def all(self):
        if self.build:
            built = subprocess.run(self.fill(self.build), cwd=HERE, timeout=5 * DEADLINE, capture_output=True, text=True)
            if built.returncode != 0:
                self.problems.append(f"does not build: {built.stdout}{built.stderr}")
                return self
        message = json.dumps(DATA, ensure_ascii=False)
        done = self.call(self.broker_url, f"/publish/{self.name}", message)
        self.check((done.returncode, done.stdout, done.stderr) == (0, "", ""), f"accepted, and yet: {done}")
        done = self.call(self.broker_url, "/publish/*", message)
        self.fails(done, r"^publish: .*405::channel_invalid", "a refused publish")
        self.with_a_stand_in()
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # bound and not listening: refuses
            done = self.call(f"http://127.0.0.1:{nobody.getsockname()[1]}/bayeux", "/publish/nobody", "1")
        self.fails(done, r"publish: .{5}", "a broker that is not there")
        self.fails(self.call(self.broker_url), "usage: ", "without arguments")
        return self

    def with_a_stand_in(self):
        done = self.call(f"{self.stand_in_url}/{self.name}/accept", '/a "b" \\c', '{"n":1}', key=KEY)
        self.check(done.returncode == 0, f"the stand-in accepted, and yet: {done}")
        headers, body = StandIn.noted.get(f"/{self.name}/accept", ({}, b"null"))
        headers = {name.lower(): value for name, value in headers.items()}
        self.check(headers.get("authorization") == f"Bearer {KEY}", f"the key did not arrive: {headers}")
        self.check(headers.get("content-type", "").startswith("application/json"), f"content type: {headers}")
        self.check(json.loads(body) == {"channel": '/a "b" \\c', "data": {"n": 1}}, f"the body is {body}")
        done = self.call(f"{self.stand_in_url}/{self.name}/broken", "/a", "1")
        self.fails(done, r"^publish: .*502", "an answer that is not Bayeux")
        headers, _ = StandIn.noted.get(f"/{self.name}/broken", ({}, b""))
        self.check("authorization" not in {name.lower() for name in headers}, f"a key although there is none: {headers}")


def missing(name):
    return [tool for tool in EXAMPLES[name][0] if shutil.which(tool) is None]


def arrived(said):
    """Everything up to the message that ends the test, by the example that sent it."""
    messages = []
    while True:
        message = json.loads(said.get(timeout=DEADLINE))
        if message["channel"] == "/publish":
            return messages
        messages.append(message)


def main(names):
    able = [name for name in names if not missing(name)]
    stand_in = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=stand_in.serve_forever, daemon=True).start()
    stand_in_url = f"http://127.0.0.1:{stand_in.server_address[1]}"
    processes = []

    def start(*arguments):
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen([BROKER, *arguments], stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    try:
        broker = start("serve", "--listen", "127.0.0.1:0", "--set", "log.level=warn")
        url = wait_for(lines_of(broker.stderr), r"^ *Bayeux +(http\S+)")[1]
        subscriber = start("subscribe", "--url", url, "/publish", "/publish/**")
        messages = lines_of(subscriber.stdout)
        wait_for(lines_of(subscriber.stderr), "subscribed")
        with tempfile.TemporaryDirectory(dir=TARGET, prefix="publish-") as out, ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda name: Run(name, url, stand_in_url, out).all(), able))
        subprocess.run([BROKER, "publish", "--url", url, "/publish", "null"], check=True, timeout=DEADLINE)
        messages = arrived(messages)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=DEADLINE)
    return report(names, runs, messages)


def report(names, runs, messages):
    for run in runs:
        mine = [message["data"] for message in messages if message["channel"] == f"/publish/{run.name}"]
        run.check(mine == [DATA], f"what arrived is {mine}")
        print(f"{'FAILED' if run.problems else 'ok':<8} {run.name}")
        for problem in run.problems:
            print(f"         {problem}")
    for name in names:
        if tools := missing(name):
            print(f"NOT RUN  {name}: {' and '.join(tools)} not installed")
    strangers = [message for message in messages if message["channel"].removeprefix("/publish/") not in names]
    if strangers:
        print(f"FAILED   messages that nobody should have sent: {strangers}")
    failed = sum(bool(run.problems) for run in runs)
    print(f"examples/publish: {len(runs) - failed} passed, {failed} failed, {len(names) - len(runs)} not run")
    return 1 if failed or strangers or not runs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(EXAMPLES)))
