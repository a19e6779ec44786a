"""The backend of a small shop, beside a Bayeux broker: Python's standard library and nothing else.

It answers a service call, decides about handshakes, subscriptions and publications, and receives orders and events.
docs/backends.md describes every call that comes here.

  HOST, PORT     where to listen; 127.0.0.1 and 9000
  BROKER         where the broker's API is; http://127.0.0.1:8080
  BAYEUX_KEY     an API key of the broker, if it wants one
  SECRETS        the secrets that sign calls, as in bayeuxd.toml, with a blank between
"""

import base64
import hashlib
import hmac
import json
import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BROKER = os.environ.get("BROKER", "http://127.0.0.1:8080")
# This one is public: make your own with  echo whsec_$(openssl rand -base64 32)
SECRETS = os.environ.get("SECRETS", "whsec_c2VjcmV0IG9mIHRoZSBleGFtcGxlIGJhY2tlbmQh").split()
KEYS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in SECRETS]
CLOCKS_DIFFER_AT_MOST = 300  # seconds
LARGEST_CALL = 16 << 20  # bytes

PRICES = {"bread": 320, "cake": 1450}  # cents
BANNED = {"mallory"}
SWEAR_WORDS = {"damn", "heck"}

lock = threading.Lock()  # calls come at the same time
online = set()  # sessions
orders = 0
last_position = 0  # of the newest order that was seen; a real shop keeps it with its orders


def is_genuine(headers, body):
    """Whether the broker sent this, by the Standard Webhooks signature, and lately."""
    try:
        age = time.time() - int(headers["webhook-timestamp"])
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        given = [part.removeprefix("v1,").encode() for part in headers["webhook-signature"].split()]
    except (TypeError, ValueError, AttributeError):
        return False  # a header is missing or is not what it should be
    wanted = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in KEYS]
    return abs(age) <= CLOCKS_DIFFER_AT_MOST and any(hmac.compare_digest(w, g) for w in wanted for g in given)


def serve(call):
    """A client called a service: what is returned is its answer."""
    with lock:
        if call["channel"] == "/service/shop/state":
            return {"online": len(online), "orders": orders}
    match call["data"]:
        case {"item": str(item), "count": int(count)} if item in PRICES and count > 0:
            return {"item": item, "total": PRICES[item] * count}
        case wanted:
            return {"unknown": wanted}


def may_shake_hands(call):
    name = (call.get("ext") or {}).get("name")
    return {"allow": False, "reason": "banned"} if name in BANNED else {"allow": True}


def may_subscribe(call):
    """Everybody may follow an order whose number they know; nobody may follow all of them."""
    return {"allow": False, "reason": "one order at a time"} if "*" in call["channel"] else {"allow": True}


def may_publish(call):
    """What is said in the chat has a text, and no swear words; other members do not travel."""
    text = call["data"].get("text") if isinstance(call["data"], dict) else None
    if not isinstance(text, str) or not text.strip():
        return {"allow": False, "reason": "no text"}
    words = ("*" * len(word) if word.lower() in SWEAR_WORDS else word for word in text.split(" "))
    return {"allow": True, "data": {"text": " ".join(words)}}


def receive(call):
    """Orders, each at least once and in order: a batch comes again when its answer was lost."""
    global orders, last_position
    with lock:
        for order in call["publications"]:
            if order["position"] <= last_position:
                continue
            confirm(order)  # before it counts as seen: when this fails, the batch comes again
            last_position = order["position"]
            orders += 1
            print("order", order["channel"], json.dumps(order["data"]), flush=True)


def confirm(order):
    """Publishes to the order's own channel. With its position as key a second time makes no second message."""
    item = {
        "channel": order["channel"].replace("/orders/", "/confirmed/"),
        "data": {"order": order["data"], "state": "accepted"},
        "idempotency_key": f"order-{order['position']}",
    }
    headers = {"Content-Type": "application/json"}
    if "BAYEUX_KEY" in os.environ:
        headers["Authorization"] = f"Bearer {os.environ['BAYEUX_KEY']}"
    request = urllib.request.Request(f"{BROKER}/api/v1/publish", json.dumps(item).encode(), headers)
    urllib.request.urlopen(request, timeout=5).close()


def note(call):
    with lock:
        for event in call["events"]:
            if event["type"] == "session_added":
                online.add(event["session"])
            elif event["type"] == "session_removed":
                online.discard(event["session"])


ANSWERS = {
    "service": serve,
    "authorise.handshake": may_shake_hands,
    "authorise.subscribe": may_subscribe,
    "authorise.publish": may_publish,
    "publications": receive,
    "events": note,
}


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 120  # seconds that a connection may be idle

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > LARGEST_CALL:
            self.close_connection = True
            return self.answer(413, {"error": "too large"})
        body = self.rfile.read(length)
        if not is_genuine(self.headers, body):
            return self.answer(401, {"error": "the signature does not fit"})
        call = json.loads(body)
        answer_to = ANSWERS.get(call["type"])
        if answer_to is None:
            return self.answer(400, {"error": f"nothing is known of {call['type']}"})
        try:
            value = answer_to(call["data"])
        except OSError as error:  # the broker's API did not take the confirmation: let it come again
            print("cannot confirm:", error, flush=True)
            return self.answer(503, {"error": "try again"})
        self.answer(200, value)

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, *_):
        pass  # every call would be a line


if __name__ == "__main__":
    address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "9000"))
    server = ThreadingHTTPServer(address, Backend)
    print(f"backend on http://{address[0]}:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
