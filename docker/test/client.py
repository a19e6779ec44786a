"""A subscriber that keeps its session through everything, and a publisher that notes what was accepted. Both talk to the
broker from outside, over HTTP, and come again when it is away."""

import http.client
import json
import threading
import time
import urllib.error
import urllib.request

ANSWER_SECONDS = 20


def post(url, message):
    """The messages of the answer; OSError when there was none."""
    body = json.dumps([message]).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"HTTP status {error.code}: {error.read()[:200]}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"half an answer: {error!r}") from error


class Subscriber:
    """Acknowledges what it received (`ext.ack`), and knows the place of each message in the log (`ext.replay`)."""

    def __init__(self, url, *channels, since=None):
        self.url = url
        self.messages = []  # each once, in the order of their first coming
        self.positions = set()
        self.again = 0  # how many came more than once, which acknowledging allows
        self.replies = []  # what went wrong with the session, if anything
        self.ack = 0
        self.over = threading.Event()
        hello = {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
        self.id = self.say({**hello, "ext": {"ack": True, "replay": True}})["clientId"]
        for channel in channels:
            ext = {} if since is None else {"ext": {"replay": {channel: since}}}
            self.say({"channel": "/meta/subscribe", "clientId": self.id, "subscription": channel, **ext})
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def say(self, message):
        reply = post(self.url, message)[-1]
        if not reply["successful"]:
            raise AssertionError(f"refused: {reply}")
        return reply

    def listen(self):
        while not self.over.is_set():
            connect = {"channel": "/meta/connect", "clientId": self.id, "connectionType": "long-polling"}
            try:
                *messages, reply = post(self.url, {**connect, "ext": {"ack": self.ack}, "advice": {"timeout": 1000}})
            except OSError:
                time.sleep(0.05)  # it is away; ask until it is back
                continue
            for message in messages:
                self.take(message)
            self.ack = reply.get("ext", {}).get("ack", self.ack)
            if not reply["successful"]:
                self.replies.append(reply)
                return

    def take(self, message):
        position = message.get("ext", {}).get("replay", {}).get("id")
        if position in self.positions:
            self.again += 1
            return
        if position is not None:
            self.positions.add(position)
        self.messages.append(message)

    def data(self, channel):
        return [message["data"] for message in list(self.messages) if message["channel"] == channel]

    def call(self, channel, data):
        self.say({"channel": channel, "clientId": self.id, "id": "1", "data": data})

    def end(self):
        self.over.set()
        self.thread.join()


class Publisher:
    """Publishes 1, 2, 3 … to a channel until it is told to end."""

    def __init__(self, url, channel):
        self.url, self.channel = url, channel
        self.accepted, self.unknown = [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.publish, daemon=True)
        self.thread.start()

    def publish(self):
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                reply = post(self.url, {"channel": self.channel, "data": number})[0]
                if not reply["successful"]:
                    raise OSError(reply)
                self.accepted.append(number)
            except OSError:
                self.unknown.append(number)  # it may have been published, or not
                time.sleep(0.02)

    def end(self):
        self.over.set()
        self.thread.join()
