"""A user's backend for the tests: standard library only, every way a backend can answer, and a memory of what came.

Prints its URL and serves until its standard input closes. What a path does:

  /echo          answers {"echo": <data.data>}          /hang      never answers
  /empty         204 without a body                     /die       closes the connection in the middle of the answer
  /garbage       200 that is not JSON                   /large     200 with 2 MiB of JSON
  /redirect      302 to /echo                           /status/N  that status
  /noise         bytes that are not HTTP                /drip      a byte now and then, for ever
  /script/NAME   answers with the next step that was put there, the last one for ever

PUT /script/NAME  [{"status": 200, "body": ..., "delay": seconds}, ...]    GET /log  everything that was posted
"""

import base64
import hashlib
import hmac
import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = [base64.b64decode(text.removeprefix("whsec_")) for text in os.environ.get("SECRETS", "").split()]
lock = threading.Lock()
log, scripts = [], {}
out_now, most_out = 0, 0


def is_signed(headers, body):
    """What a backend has to do to know that a call is genuine; for each secret, whether it signed."""
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    given = [part.removeprefix("v1,") for part in headers.get("webhook-signature", "").split()]
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in SECRETS]
    return [fresh and any(hmac.compare_digest(w, g) for g in given) for w in wanted]


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_GET(self):
        with lock:
            self.answer(200, json.dumps({"requests": log, "most_out": most_out}).encode())

    def do_PUT(self):
        with lock:
            scripts[self.path] = json.loads(self.body())
        self.answer(204)

    def do_POST(self):
        global out_now, most_out
        body = self.body()
        with lock:
            out_now += 1
            most_out = max(most_out, out_now)
            log.append({
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "text": body.decode(),
                "signed": is_signed(self.headers, body),
                "peer": self.client_address[1],
            })
        try:
            self.serve(json.loads(body))
        finally:
            with lock:
                out_now -= 1

    def serve(self, call):
        _, kind, *rest = self.path.partition("?")[0].split("/")
        if kind == "echo":
            self.answer(200, json.dumps({"echo": call["data"]["data"]}).encode())
        elif kind == "empty":
            self.answer(204)
        elif kind == "hang":
            time.sleep(600)
        elif kind == "die":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":")
            self.close_connection = True
        elif kind == "noise":
            self.wfile.write(b"\x00\xff\r\n\r\n" * 100)
            self.close_connection = True
        elif kind == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(1000):
                self.wfile.write(b"1")
                time.sleep(0.05)
        elif kind == "garbage":
            self.answer(200, b"<html>It works!</html>")
        elif kind == "large":
            self.answer(200, json.dumps("x" * (2 << 20)).encode())
        elif kind == "redirect":
            self.answer(302, location="/echo")
        elif kind == "status":
            self.answer(int(rest[0]), b'{"why": "because"}')
        elif kind == "script":
            with lock:
                steps = scripts.get(self.path, [{}])
                step = steps.pop(0) if len(steps) > 1 else steps[0]
            time.sleep(step.get("delay", 0))
            self.answer(step.get("status", 200), json.dumps(step.get("body")).encode())
        else:
            self.answer(404)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a broker that hangs up is no news


server = Server(("127.0.0.1", int(os.environ.get("PORT", "0"))), Backend)
scheme = "http"
if "CERTIFICATE" in os.environ:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["CERTIFICATE"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https"
print(f"{scheme}://127.0.0.1:{server.server_address[1]}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
