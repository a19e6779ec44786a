"""Calls to the broker: publish, deliver to one session, ask who subscribes. Used by the demos of this folder.

Every call is one HTTP request over a kept-alive connection. Nothing here knows what the demos do.
"""

import http.client
import json
import threading
import uuid
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 5
ATTEMPTS = 2  # the first may meet a connection that the broker has closed meanwhile


class BrokerError(Exception):
    """The broker refused, or could not be reached."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Broker:
    """The HTTP interface of a broker, as far as the demos need it."""

    def __init__(self, url=None, key=None):
        self.url = url  # like http://127.0.0.1:8080; may be set later, once it is known
        self._key = key
        self._own = threading.local()

    def publish(self, channel, data):
        """Everybody who subscribed to the channel gets the data, in the order of the calls."""
        # The key makes it safe to ask again when an answer was lost: the message is published once.
        item = {"channel": channel, "data": data, "idempotency_key": uuid.uuid4().hex}
        return self._call("POST", "/api/v1/publish", item)

    def deliver(self, session, channel, data):
        """One session gets the data, whatever it subscribed to. False when that session is no more."""
        try:
            self._call("POST", f"/api/v1/sessions/{quote(session, safe='')}/deliver", {"channel": channel, "data": data})
        except BrokerError as error:
            if error.status == 404:
                return False
            raise
        return True

    def subscribers(self, channel):
        """The ids of the sessions that subscribe to a channel."""
        path, after = f"/api/v1/channels/{quote(channel.removeprefix('/'))}/subscribers", ""
        found = set()
        while True:
            page = self._call("GET", path + (f"?after={quote(after)}" if after else ""))
            found.update(subscriber["session"] for subscriber in page["subscribers"])
            after = page.get("next")
            if not after:
                return found

    def _call(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"} if text else {}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                connection = self._connection()
                connection.request(method, path, text, headers)
                response = connection.getresponse()
                answer = json.loads(response.read() or "null")
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._own.connection = None
                if attempt == ATTEMPTS:
                    raise BrokerError(0, f"the broker does not answer: {error}") from error
        if response.status >= 300:
            raise BrokerError(response.status, f"{method} {path}: {response.status} {answer}")
        return answer

    def _connection(self):
        # Each thread has its own: an http.client connection is for one at a time.
        if getattr(self._own, "connection", None) is None:
            if self.url is None:
                raise OSError("its address is not known yet")
            address = urlsplit(self.url)
            kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
            self._own.connection = kind(address.netloc, timeout=TIMEOUT_SECONDS)
        return self._own.connection
