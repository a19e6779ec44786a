"""Puts nginx and HAProxy before a broker, with the configurations of docs/deploy.md as they stand there, and does through
them what clients do. Only addresses are changed, and the folders that nginx writes to.

Called by scripts/test.sh, which installs both; alone:  python3 scripts/proxies.py
"""

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BROKER = os.environ.get("BAYEUXD_BIN", str(TARGET / "debug/bayeuxd"))
PAGE = (ROOT / "docs/deploy.md").read_text()
DEADLINE = 15  # seconds
AT_ONCE = 3  # seconds; a buffer would keep a message for ever
ALLOWED = "https://app.example"


def block(language):
    return PAGE.split(f"```{language}\n")[1].split("```")[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(url, body=None, **headers):
    """Status, headers and text of the answer; JSON is sent when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=DEADLINE)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


def starts(port, process):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}: {process.args}")


class Proxy:
    """What holds behind a proxy; a class below starts one."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(dir=TARGET, prefix="proxy-")
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.broker_port, self.port = free_port(), free_port()
        listen = f"127.0.0.1:{self.broker_port}"
        allowed = f'transport.allowed_origins=["{ALLOWED}"]'
        self.start(self.broker_port, BROKER, "serve", "--listen", listen, "--set", allowed, "--set", "log.level=error")
        self.start_proxy()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/bayeux"

    def start(self, port, *command):
        with open(self.folder / f"{Path(command[0]).name}.log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.terminate)
        starts(port, process)

    def configuration(self, language):
        text = block(language).replace("127.0.0.1:8080", f"127.0.0.1:{self.broker_port}")
        return text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace("bind :80", f"bind 127.0.0.1:{self.port}")

    def handshake(self):
        hello = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling", "websocket"]}
        return json.loads(request(self.url, [hello])[2])[0]["clientId"]

    def subscribed(self, channel):
        session = self.handshake()
        subscribe = {"channel": "/meta/subscribe", "clientId": session, "subscription": channel}
        self.assertTrue(json.loads(request(self.url, [subscribe])[2])[0]["successful"])
        return session

    def publish(self, channel, data):
        status, _, text = request(self.url, {"channel": channel, "data": data})
        self.assertEqual((status, json.loads(text)[0]["successful"]), (200, True))

    def test_a_long_poll_is_held_and_answered_at_once(self):
        session = self.subscribed("/a")
        connect = {"channel": "/meta/connect", "clientId": session, "connectionType": "long-polling"}
        request(self.url, [connect])  # the first is answered at once
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as held:
            body = json.dumps([connect]).encode()
            head = f"POST /bayeux HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            held.sendall(head.encode() + body)
            held.settimeout(1)
            with self.assertRaises(TimeoutError, msg="it is held"):
                held.recv(1)
            held.settimeout(AT_ONCE)
            self.publish("/a", "now")
            self.assertIn(b'"now"', self.until(held, b'"now"'))

    def test_an_event_source_is_not_kept_in_a_buffer(self):
        session = self.subscribed("/a")
        with socket.create_connection(("127.0.0.1", self.port), timeout=AT_ONCE) as stream:
            head = f"GET /bayeux/{session} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: text/event-stream\r\n\r\n"
            stream.sendall(head.encode())
            self.until(stream, b"retry:")
            for number in range(3):
                self.publish("/a", f"event {number}")
                self.until(stream, f'"event {number}"'.encode())

    def test_a_websocket_is_upgraded_and_carries_messages(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=AT_ONCE) as stream:
            key = base64.b64encode(os.urandom(16)).decode()
            stream.sendall(f"GET /bayeux HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
                           f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                           f"Origin: {self.origin}\r\n\r\n".encode())
            self.assertIn(b" 101 ", self.until(stream, b"\r\n\r\n").splitlines()[0])
            stream.sendall(frame({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"]}))
            said = self.until(stream, b'"clientId"')
            session = said.split(b'"clientId":"')[1].split(b'"')[0].decode()
            stream.sendall(frame({"channel": "/meta/subscribe", "clientId": session, "subscription": "/a"}))
            self.until(stream, b'"/meta/subscribe"')
            stream.sendall(frame({"channel": "/meta/connect", "clientId": session, "connectionType": "websocket"}))
            self.until(stream, b'"/meta/connect"')
            self.publish("/a", "over a socket")
            self.until(stream, b'"over a socket"')

    def test_pages_of_the_same_host_are_its_own_and_others_are_not(self):
        message = {"channel": "/a", "data": 1}
        for origin, status in ((self.origin, 200), (ALLOWED, 200), ("https://evil.example", 403)):
            self.assertEqual(request(self.url, message, Origin=origin)[0], status, origin)

    def test_only_bayeux_can_be_reached(self):
        for path in ("/metrics", "/api/v1/sessions", "/", "/healthz", "/bayeux/../metrics", "/bayeux/../api/v1/sessions"):
            direct = request(f"http://127.0.0.1:{self.broker_port}{path.rpartition('/..')[2] or path}")
            self.assertEqual(direct[0], 200, path)
            self.assertNotEqual(request(f"{self.origin}{path}")[2][:200], direct[2][:200], path)

    def test_what_is_too_large_is_refused_and_what_is_not_arrives(self):
        self.publish("/a", "x" * (1000 << 10))
        body = json.dumps({"channel": "/a", "data": "x" * (1100 << 10)}).encode()
        head = f"POST /bayeux HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as client:
            try:
                client.sendall(head.encode() + body)
            except ConnectionError:
                pass  # who refuses need not read it all
            # Who refuses hangs up while the other still sends: the 413 then may not get through the proxy, or not at all.
            try:
                said = client.recv(1000)
            except ConnectionError:
                said = b""
        self.assertIn(said.split(b" ")[1:2], ([b"413"], [b"502"], []))
        self.publish("/a", "and all goes on")

    def test_nobody_chooses_an_address(self):
        with socket.create_server(("127.0.0.1", 0)) as backend:
            self.broker_port = backend.getsockname()[1]  # in the broker's place, something that shows what comes
            self.port = free_port()
            self.start_proxy()
            with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as client:
                client.sendall(b"GET /bayeux HTTP/1.1\r\nHost: a:1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
                backend.settimeout(DEADLINE)
                while b"/bayeux" not in (head := self.head(backend)):
                    pass  # the proxy asks how the broker is
        head = head.decode().lower()
        self.assertIn("x-forwarded-for: 127.0.0.1\r\n", head)
        self.assertNotIn("6.6.6.6", head)
        self.assertIn("host: a:1\r\n", head)

    def head(self, listener):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            head = self.until(connection, b"\r\n\r\n")
            connection.sendall(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n")
            return head

    def until(self, stream, wanted):
        said = b""
        while wanted not in said:
            try:
                more = stream.recv(65536)
            except TimeoutError:
                more = b""
            self.assertTrue(more, f"{wanted} did not come; what came: {said}")
            said += more
        return said


def frame(message):
    """A masked text frame, as clients send them; the mask is zero."""
    text = json.dumps([message]).encode()
    return b"\x81" + struct.pack("!BH", 0x80 | 126, len(text)) + bytes(4) + text


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class Nginx(Proxy, unittest.TestCase):
    def start_proxy(self):
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        file = self.folder / f"nginx-{self.port}.conf"
        file.write_text(f"daemon off; master_process off; pid {self.folder}/{self.port}.pid; error_log stderr;\n"
                        f"events {{}}\nhttp {{\n{temporary}{self.configuration('nginx')}}}\n")
        self.start(self.port, "nginx", "-c", str(file), "-e", "stderr")


@unittest.skipUnless(shutil.which("haproxy"), "HAProxy is not installed")
class HAProxy(Proxy, unittest.TestCase):
    def start_proxy(self):
        file = self.folder / f"haproxy-{self.port}.cfg"
        file.write_text(self.configuration("haproxy"))
        self.start(self.port, "haproxy", "-db", "-f", str(file))


if __name__ == "__main__":
    unittest.main(argv=sys.argv, verbosity=2)
