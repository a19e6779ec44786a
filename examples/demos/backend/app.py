"""Puts the backend together: which demo serves which path. Started by `__main__.py` and by `demo.py`."""

import threading

from . import echo
from .broker import Broker
from .chat import Chat
from .counter import Counter
from .server import Refused, Server


class Backend:
    """Takes calls as soon as it is made; begins to make calls at `start`."""

    def __init__(self, address, secrets, key=None):
        self._broker = Broker(key=key)
        self._counter = Counter(self._broker)
        self._chat = Chat(self._broker)
        self._origins = []
        routes = {
            "/counter": self._counter.serve,
            "/echo": echo.serve,
            "/chat": self._chat.serve,
            "/events": self._chat.hear,
            "/hooks": self._judge,
            "/origins": lambda _kind, _data: {"origins": self._origins},
        }
        self._server = Server(address, routes, secrets)
        self._serving = threading.Thread(target=self._server.serve_forever, name="backend", daemon=True)
        self._serving.start()

    @property
    def url(self):
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}"

    def start(self, broker_url, origins):
        self._origins = list(origins)
        self._broker.url = broker_url
        self._counter.start()

    def wait(self):
        self._serving.join()

    def _judge(self, kind, data):
        """A hook: may this be published? Who has no session is no page but a backend, like this one."""
        if kind != "authorise.publish":
            raise Refused(404, "only publications are judged here")
        if data["session"] is None:
            return {"allow": True}
        if data["channel"] == "/chat/room":
            return self._chat.judge(data)
        return {"allow": False, "reason": "only the backend publishes here"}
