"""Takes the calls of the broker: service calls, hooks and events, each at a path of its own, all of them signed.

Started by `__main__.py` and by `demo.py`. Knows what a call looks like, and nothing of what the demos do with it.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 1 << 20
MAX_AGE_SECONDS = 300  # of a signature
IDLE_SECONDS = 120  # of a connection


class Refused(Exception):
    """A demo refuses a call with an HTTP status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves `routes`: from path to a function of the call (its `type` and `data`) that returns the answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, routes, secrets):
        super().__init__(address, Handler)
        self.routes = routes
        self.keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]

    def handle_error(self, request, client_address):
        # A broker that hangs up is no news.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def do_POST(self):
        try:
            length = int(self.headers.get("content-length", ""))
        except ValueError:
            return self._refuse_unread(411, "a content-length is needed")
        if not 0 <= length <= MAX_BODY_BYTES:
            return self._refuse_unread(413, "too large")
        body = self.rfile.read(length)
        try:
            self._answer(200, self._serve(body))
        except Refused as refusal:
            self._answer(refusal.status, {"error": str(refusal)})
        except Exception:
            traceback.print_exc()
            self._answer(500, {"error": "a fault of the backend"})

    def do_GET(self):
        if self.path == "/healthz":
            return self._answer(200, "ok")
        self._answer(404, {"error": "the broker posts here"})

    def _serve(self, body):
        demo = self.server.routes.get(self.path)
        if demo is None:
            raise Refused(404, "nothing is served here")
        if self.server.keys and not self._is_genuine(body):
            raise Refused(401, "not signed by the broker")
        try:
            call = json.loads(body)
            kind, data = call["type"], call["data"]
        except (ValueError, TypeError, KeyError) as error:
            raise Refused(400, "not a call of the broker") from error
        return demo(kind, data)

    def _is_genuine(self, body):
        """Standard Webhooks: HMAC-SHA256 over id, time and body, with any of the secrets."""
        try:
            sent, text = self.headers["webhook-id"], self.headers["webhook-timestamp"]
            fresh = abs(time.time() - int(text)) < MAX_AGE_SECONDS
            signed = f"{sent}.{text}.".encode() + body
            given = self.headers["webhook-signature"].split()
        except (AttributeError, TypeError, ValueError):
            return False
        wanted = ["v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self.server.keys]
        return fresh and any(hmac.compare_digest(w.encode(), g.encode()) for w in wanted for g in given)

    def _refuse_unread(self, status, text):
        self.close_connection = True
        self._answer(status, {"error": text})

    def _answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass
