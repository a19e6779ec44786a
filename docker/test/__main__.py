"""Builds the image and brings compose.yaml up, as somebody would who deploys it, and does to it what happens to
deployments: clients come from outside, the broker is killed, stopped, and made anew. Called by `make docker-test`.

Exit code 0: everything held. 1: something did not. 77: the machine cannot run containers; what it lacks is printed.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from client import Publisher, Subscriber
from machine import PLACE, ROOT, NotHere, Podman, configure, install, node_mounts, run, rust_mounts

IMAGE_MEGABYTES = 25
USER = 65532
DEADLINE = 60  # seconds, for whatever is waited for
BUILD_SECONDS = 3600  # on two cores that others use, too
PUBLISHERS = 4
PUBLISHED_BEFORE_THE_KILL = 400
PUBLISHED_AFTER_THE_KILL = 100


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, what):
    deadline = time.monotonic() + DEADLINE
    while not (outcome := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE} s: {what}")
        time.sleep(0.05)
    return outcome


def equal(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: {found}, and should be {wanted}")


def last_stage(binary):
    """A folder from which the last stage of docker/Dockerfile is built without the one before it."""
    folder = PLACE / "last-stage"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docker/image", folder / "image")
    (folder / "data").mkdir()
    shutil.copy(binary, folder / "image/bayeuxd")
    certificates = folder / "image/etc/ssl/certs/ca-certificates.crt"
    certificates.parent.mkdir(parents=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)
    text = (ROOT / "docker/Dockerfile").read_text()
    (folder / "Dockerfile").write_text("FROM scratch" + text.split("FROM scratch")[1].replace("--from=build ", ""))
    return folder


class Deployment:
    """The steps, in their order: each takes what the one before left."""

    def __init__(self, podman):
        self.podman = podman
        self.port = free_port()
        self.pages_port = free_port()
        podman.environment.update(BAYEUX_PORT=str(self.port), PAGES_PORT=str(self.pages_port))
        self.url = f"http://127.0.0.1:{self.port}/bayeux"
        self.not_run = []
        configuration = tomllib.loads((ROOT / "docker/bayeuxd.toml").read_text())
        self.keeps = configuration["engine"]["kind"] != "memory"
        if not self.keeps:
            self.not_run.append("nothing lost by a kill and by a new container: docker/bayeuxd.toml says engine.kind = memory")

    def build(self):
        """the images are built from docker/Dockerfile and docker/demos.Dockerfile"""
        if binary := os.environ.get("DOCKER_TEST_BINARY"):
            self.not_run.append(f"the build stage of docker/Dockerfile: DOCKER_TEST_BINARY gives {binary}")
            self.podman("build", "-t", "bayeuxd", last_stage(Path(binary)))
        else:
            self.podman("build", "--pull=never", *rust_mounts(), "-f", ROOT / "docker/Dockerfile", "-t", "bayeuxd", ROOT,
                        timeout=BUILD_SECONDS)
        self.podman("build", "--pull=never", *node_mounts(), "-f", ROOT / "docker/demos.Dockerfile", "-t", "bayeuxd-demos", ROOT)

    def configuration(self):
        """docker/bayeuxd.toml says of the demos what examples/demos/bayeuxd.toml says"""
        demos = (ROOT / "examples/demos/bayeuxd.toml").read_text().replace("http://127.0.0.1:9000", "http://backend:9000")
        demos, here = tomllib.loads(demos), tomllib.loads((ROOT / "docker/bayeuxd.toml").read_text())
        for section in demos.keys() - {"log"}:
            equal(here.get(section), demos[section], f"[{section}]")

    def image(self):
        """the image is small, has a user without rights and a health check, and is closed until told"""
        image = json.loads(self.podman("image", "inspect", "bayeuxd"))[0]
        megabytes = image["Size"] / 1e6
        print(f"     {megabytes:.1f} MB", flush=True)
        if megabytes > IMAGE_MEGABYTES:
            raise AssertionError(f"the image has {megabytes:.1f} MB")
        equal(image["User"], f"{USER}:{USER}", "the user")
        equal(image.get("Healthcheck", {}).get("Test"), ["CMD", "/bayeuxd", "health"], "the health check")
        alone = subprocess.run(["podman", "run", "--rm", "bayeuxd"], env=self.podman.environment, capture_output=True,
                               text=True, timeout=DEADLINE)
        if alone.returncode != 2 or "--open" not in alone.stderr:
            raise AssertionError(f"it should have refused to be open: {alone}")
        health = ["podman", "run", "--rm", "bayeuxd", "health"]
        done = subprocess.run(health, env=self.podman.environment, capture_output=True, text=True, timeout=DEADLINE)
        equal(done.returncode, 1, f"the health of no broker ({done.stderr})")

    def up(self):
        """compose.yaml comes up, and the broker says that it is healthy"""
        self.podman.compose("up", "--detach", "--no-build")
        self.broker = self.podman.of_service("broker")
        until(self.is_healthy, "a healthy broker")
        self.not_run.append("health checks by podman's own timer, which is systemd's: the test ran them")
        process = f"/proc/{self.podman.state(self.broker)['Pid']}/status"
        identity = [line.split()[1:] for line in open(process) if line.startswith(("Uid:", "Gid:"))]
        equal(identity, [[str(USER)] * 4] * 2, "the user of the process")

    def is_healthy(self):
        done = subprocess.run(["podman", "healthcheck", "run", self.broker], env=self.podman.environment, capture_output=True,
                              timeout=DEADLINE)
        return done.returncode == 0

    def publish(self):
        """curl publishes from outside, and a subscriber has it"""
        subscriber = Subscriber(self.url, "/demo/**")
        environment = {**os.environ, "BAYEUX_URL": self.url}
        run("sh", ROOT / "examples/publish/publish.sh", "/demo/hello", '{"text": "from outside"}', env=environment)
        until(lambda: subscriber.data("/demo/hello") == [{"text": "from outside"}], "the message")
        subscriber.end()

    def backend(self):
        """the broker finds the backend by its name, and the backend the broker"""
        subscriber = Subscriber(self.url, "/counter")
        until(lambda: self.called(subscriber, "echo", {"echo": "hello", "slept": 0}), "an answer to a call")
        until(lambda: len(subscriber.data("/counter")) >= 3, "what the backend publishes by itself")
        subscriber.end()

    def pages(self):
        """the demos' pages are served on another port, with the client in them; they and the broker know of each other"""
        origin = f"http://127.0.0.1:{self.pages_port}"
        for page, holds in (("/", "<title>"), ("/bayeux.js", "Client"), ("/where.js", self.url), ("/chat.html", "<title>")):
            text = run("curl", "--silent", "--show-error", "--fail", f"{origin}{page}")
            if holds not in text:
                raise AssertionError(f"{page} does not hold {holds}: {text[:200]}")
        hello = '{"channel": "/demo/hello", "data": 1}'
        local = f"http://localhost:{self.pages_port}"
        for allowed, page in ((True, origin), (True, local), (False, "http://127.0.0.1:8001"), (False, "http://evil.example")):
            said = run("curl", "--silent", "--include", "--header", f"Origin: {page}", "--json", hello, self.url)
            equal(f"access-control-allow-origin: {page}" in said.lower(), allowed, f"{page} is let in")
        subscriber = Subscriber(self.url, "/demo/origins")
        until(lambda: self.called(subscriber, "origins", {"origins": [origin]}), "the backend knows where the pages are")
        subscriber.end()

    def called(self, subscriber, service, answer):
        # The backend may still be starting: then the answer is that it cannot be reached, and one asks again.
        subscriber.call(f"/service/{service}", {"text": "hello"})
        return answer in subscriber.data(f"/service/{service}")

    def kill(self):
        """the broker is killed in the middle of publishing and comes back: nothing is lost, sessions go on"""
        subscriber = Subscriber(self.url, "/log/kill/*")
        publishers = [Publisher(self.url, f"/log/kill/{number}") for number in range(PUBLISHERS)]
        accepted = lambda: sum(len(publisher.accepted) for publisher in publishers)
        until(lambda: accepted() >= PUBLISHED_BEFORE_THE_KILL, "publications before the kill")
        before = self.podman.state(self.broker)
        os.kill(before["Pid"], signal.SIGKILL)
        enough = accepted() + PUBLISHED_AFTER_THE_KILL
        until(lambda: all(publisher.unknown for publisher in publishers), "publications that get no answer")
        self.comes_back(before)
        until(lambda: accepted() >= enough, "publications after the kill")
        for publisher in publishers:
            publisher.end()
        if self.keeps:
            self.nothing_is_lost(subscriber, publishers)
        unknown = sum(len(publisher.unknown) for publisher in publishers)
        print(f"     {accepted()} accepted, {unknown} without an answer, {subscriber.again} received twice", flush=True)

    def comes_back(self, before):
        """By compose.yaml's restart policy; where the engine has nobody who follows it, by hand."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            state = self.podman.state(self.broker)
            if state["Running"] and state["Pid"] != before["Pid"]:
                return
            time.sleep(0.1)
        self.not_run.append("restart by the policy of compose.yaml: podman did not do it here; it was started by hand")
        self.podman("start", self.broker)

    def nothing_is_lost(self, subscriber, publishers):
        def has_all(someone):
            return all(set(each.accepted) <= set(someone.data(each.channel)) for each in publishers)
        try:
            until(lambda: has_all(subscriber) or subscriber.replies, "every accepted publication")
        finally:
            subscriber.end()
        equal(subscriber.replies, [], "what the broker told the session")
        for each in publishers:
            received = subscriber.data(each.channel)
            equal(set(received) - set(each.accepted) - set(each.unknown), set(), "received and never published")
            equal(received, sorted(set(received)), "received, in the order of publishing")
        late = Subscriber(self.url, "/log/kill/*", since=-2)
        wanted = [(message["channel"], message["data"]) for message in subscriber.messages]
        until(lambda: [(m["channel"], m["data"]) for m in list(late.messages)] == wanted, "the same for who comes later")
        late.end()

    def stop(self):
        """it stops in good order, and a new container goes on with the volume of the old one"""
        subscriber = Subscriber(self.url, "/log/stop")
        self.post_one("/log/stop", "before")
        until(lambda: subscriber.data("/log/stop") == ["before"], "the message before")
        self.podman("stop", self.broker)
        equal(self.podman.state(self.broker)["ExitCode"], 0, "the exit code after SIGTERM")
        self.podman.compose("down")
        self.podman.compose("up", "--detach", "--no-build")
        self.broker = self.podman.of_service("broker")
        until(self.is_healthy, "a healthy broker")
        self.post_one("/log/stop", "after")
        if not self.keeps:
            return subscriber.end()
        until(lambda: "after" in subscriber.data("/log/stop") or subscriber.replies, "the message after")
        subscriber.end()
        equal((subscriber.data("/log/stop"), subscriber.replies), (["before", "after"], []), "what the session received")

    def post_one(self, channel, data):
        environment = {**os.environ, "BAYEUX_URL": self.url}
        run("sh", ROOT / "examples/publish/publish.sh", channel, json.dumps(data), env=environment)

    def all(self):
        for step in (self.configuration, self.build, self.image, self.up, self.publish, self.backend, self.pages, self.kill, self.stop):
            started = time.monotonic()
            print(f"---- {step.__doc__}", flush=True)
            step()
            print(f"     ok, {time.monotonic() - started:.0f} s", flush=True)

    def logs(self):
        for service in ("broker", "backend", "pages"):
            print(f"---- the end of what {service} said", flush=True)
            try:
                logs = ["podman", "logs", "--tail", "40", self.podman.of_service(service)]
            except IndexError:
                print("     there is no container")
                continue
            subprocess.run(logs, env=self.podman.environment, stderr=subprocess.STDOUT, timeout=DEADLINE)


def prepare():
    started = time.monotonic()
    print("---- podman, podman-compose and base images", flush=True)
    install()
    environment, driver = configure()
    podman = Podman(environment, f"bayeuxd-test-{os.getpid()}")
    podman.make_bases()
    podman.try_out()
    print(f"     ok, {time.monotonic() - started:.0f} s; images kept with {driver} below {PLACE}", flush=True)
    return podman


def clean_up(podman):
    """Containers, networks and volumes go; images stay for the next time, below the target folder."""
    try:
        podman.compose("down", "--volumes", "--timeout", "5")
        left = podman("ps", "--all", "--quiet", "--filter", f"label=io.podman.compose.project={podman.project}")
        if left:
            print(f"---- containers are left: {left}")
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"---- cannot clean up: {error}")


def main():
    try:
        podman = prepare()
    except NotHere as why:
        print(f"NOT RUN  docker-test: {why}")
        return 77
    deployment = Deployment(podman)
    try:
        deployment.all()
    except (AssertionError, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"     FAILED: {error}")
        deployment.logs()
        return 1
    finally:
        clean_up(podman)
    for what in deployment.not_run:
        print(f"NOT RUN  {what}")
    print("docker-test: everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
