"""Runs both backends of this folder, each with its own bayeuxd.toml, against a real broker, and does to them what a
client, a stranger and an outage do.

Called by scripts/test.sh; alone:  python3 examples/backend/test.py [python|node]…
BAYEUXD_BIN names the broker's binary, by default the debug one.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")).resolve()
BROKER = os.environ.get("BAYEUXD_BIN", str(TARGET / "debug/bayeuxd"))
DEADLINE = 20  # seconds
SECRET = "whsec_c2VjcmV0IG9mIHRoZSBleGFtcGxlIGJhY2tlbmQh"


def post(url, body, headers=None):
    """Status and text of the answer to a POST."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, what):
    """Waits for the outcome of something that happens elsewhere, and returns it."""
    deadline = time.monotonic() + DEADLINE
    while not (outcome := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.02)
    return outcome


class Process:
    """A program that is ended with the test, and the lines that it says."""

    def __init__(self, *command, **environment):
        environment = {**os.environ, **environment}
        self.child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.child.stdout), daemon=True).start()

    def says(self, pattern):
        def look():
            found = [m for m in map(re.compile(pattern).search, list(self.lines)) if m]
            if not found and self.child.poll() is not None:
                raise AssertionError(f"it ended: {''.join(self.lines)}")
            return found
        return until(look, f"{pattern} in {self.lines}")[0]

    def end(self):
        self.child.terminate()
        self.child.wait(timeout=DEADLINE)
        self.child.stdout.close()


class Client:
    """A Bayeux client that does what it is told, over long-polling."""

    def __init__(self, url, **handshake):
        self.url, self.received, self.number, self.id = url, [], 0, None
        hello = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
        self.handshake = self.send({**hello, **handshake})
        self.id = self.handshake.get("clientId")

    def send(self, message):
        """The reply; messages that came with it are kept."""
        self.number += 1
        message = {**message, "id": str(self.number), **({"clientId": self.id} if self.id else {})}
        status, text = post(self.url, [message])
        assert status == 200, (status, text)
        messages = json.loads(text)
        reply = [m for m in messages if "successful" in m and m["channel"] == message["channel"] and "data" not in m]
        self.received += [m for m in messages if m not in reply]
        return reply[0]

    def next(self, channel):
        """Takes the next message of a channel."""
        def take():
            found = [m for m in self.received if m["channel"] == channel]
            if found:
                self.received.remove(found[0])
                return found
            self.send({"channel": "/meta/connect", "connectionType": "long-polling", "advice": {"timeout": 200}})
        return until(take, f"a message on {channel}")[0]

    def subscribe(self, channel):
        return self.send({"channel": "/meta/subscribe", "subscription": channel})

    def publish(self, channel, data):
        return self.send({"channel": channel, "data": data})

    def call(self, channel, data):
        assert self.publish(channel, data)["successful"]
        return self.next(channel)["data"]


class Shop:
    """What holds for a backend, whatever its language; a class below names the command that starts it."""

    command = ()
    folder = ""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(dir=TARGET, prefix="backend-")
        self.addCleanup(scratch.cleanup)
        # The broker is told where the backend will be, and the backend where the broker is: one has to be guessed.
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/bayeux"
        configuration = Path(scratch.name, "bayeuxd.toml")
        text = (HERE / self.folder / "bayeuxd.toml").read_text()
        configuration.write_text(text.replace("http://127.0.0.1:9000/bayeux", self.url))
        broker = Process(BROKER, "serve", "--config", str(configuration), "--listen", "127.0.0.1:0")
        self.addCleanup(broker.end)
        self.bayeux = broker.says(r"^ *Bayeux +(http\S+)")[1]
        self.backend = self.start_backend()

    def start_backend(self):
        origin = self.bayeux.removesuffix("/bayeux")
        backend = Process(*self.command, PORT=str(self.port), BROKER=origin, SECRETS=SECRET, no_proxy="127.0.0.1")
        self.addCleanup(backend.end)
        backend.says("backend on")
        return backend

    def test_a_service_call_is_answered(self):
        ann = Client(self.bayeux)
        self.assertEqual(ann.call("/service/shop/price", {"item": "bread", "count": 3}), {"item": "bread", "total": 960})
        for odd in ({"item": "gold", "count": 1}, {"item": "bread", "count": "3"}, None, 7, [1]):
            self.assertEqual(ann.call("/service/shop/price", odd), {"unknown": odd})

    def test_a_handshake_can_be_denied(self):
        denied = Client(self.bayeux, ext={"name": "mallory"}).handshake
        self.assertEqual((denied["successful"], denied["error"]), (False, "403:banned:handshake_denied"))
        self.assertTrue(Client(self.bayeux, ext={"name": "ann"}).handshake["successful"])

    def test_a_subscription_can_be_denied(self):
        ann = Client(self.bayeux)
        for pattern in ("/orders/*", "/orders/**", "/**"):
            self.assertEqual(ann.subscribe(pattern)["error"], "403:one order at a time:subscribe_denied", pattern)
        self.assertTrue(ann.subscribe("/orders/7")["successful"])

    def test_a_publication_can_be_denied_and_rewritten(self):
        ann = Client(self.bayeux)
        self.assertTrue(ann.subscribe("/chat/room")["successful"])
        for odd in ({"text": "  "}, {"text": 1}, {}, "text", None):
            self.assertEqual(ann.publish("/chat/room", odd)["error"], "403:no text:publish_denied", odd)
        self.assertTrue(ann.publish("/chat/room", {"text": "Damn good bread, Grüße", "admin": True})["successful"])
        self.assertEqual(ann.next("/chat/room")["data"], {"text": "**** good bread, Grüße"})

    def test_orders_are_received_and_confirmed_and_events_noted(self):
        ann = Client(self.bayeux)
        ann.subscribe("/confirmed/**")
        for number in (7, 8):
            self.assertTrue(ann.publish(f"/orders/{number}", {"item": "cake"})["successful"])
            confirmed = ann.next(f"/confirmed/{number}")
            self.assertEqual(confirmed["data"], {"order": {"item": "cake"}, "state": "accepted"})
        bob = Client(self.bayeux)
        state = lambda: ann.call("/service/shop/state", None)
        until(lambda: state() == {"online": 2, "orders": 2}, "two sessions, two orders")
        bob.send({"channel": "/meta/disconnect"})
        until(lambda: state() == {"online": 1, "orders": 2}, "one session left")

    def test_orders_wait_for_a_backend_that_is_away(self):
        ann = Client(self.bayeux)
        ann.subscribe("/confirmed/**")
        self.backend.end()
        self.assertTrue(ann.publish("/orders/9", {"item": "bread"})["successful"])
        self.start_backend()
        self.assertEqual(ann.next("/confirmed/9")["data"]["order"], {"item": "bread"})

    def test_a_call_that_the_broker_did_not_sign_is_refused(self):
        body = json.dumps({"type": "service", "data": {"channel": "/service/shop/state", "data": None}}).encode()
        now = int(time.time())
        self.assertEqual(post(self.url, body, signed(body, now))[0], 200)
        refused = {
            "no headers": {},
            "another secret": signed(body, now, secret=b"another secret"),
            "another body": signed(b"{}", now),
            "too old": signed(body, now - 400),
            "from the future": signed(body, now + 400),
            "no number": {**signed(body, now), "webhook-timestamp": "now"},
            "no signature": {**signed(body, now), "webhook-signature": ""},
            "half a signature": {**signed(body, now), "webhook-signature": signed(body, now)["webhook-signature"][:20]},
            "not ASCII": {**signed(body, now), "webhook-signature": "v1,\u00fc"},
        }
        for name, headers in refused.items():
            self.assertEqual(post(self.url, body, headers)[0], 401, name)
        both = signed(body, now, secret=b"the old one")["webhook-signature"]
        both = {**signed(body, now), "webhook-signature": f"{both} {signed(body, now)['webhook-signature']}"}
        self.assertEqual(post(self.url, body, both)[0], 200, "while secrets are rotated")
        body = b'{"type": "constructor", "data": {}}'
        self.assertEqual(post(self.url, body, signed(body, now))[0], 400, "a type that is not known")


def signed(body, timestamp, secret=base64.b64decode(SECRET.removeprefix("whsec_"))):
    mac = hmac.digest(secret, f"msg_1.{timestamp}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(mac).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}


class Python(Shop, unittest.TestCase):
    command = (sys.executable, str(HERE / "python/backend.py"))
    folder = "python"


@unittest.skipUnless(shutil.which("node"), "node is not installed")
class Node(Shop, unittest.TestCase):
    command = ("node", str(HERE / "node/backend.mjs"))
    folder = "node"


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(name.capitalize() for name in sys.argv[1:])], verbosity=2)
