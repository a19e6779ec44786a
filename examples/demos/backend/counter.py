"""The counter: a number that lives in the backend, published whenever it changes, on /counter.

Whoever has a page open can start, stop and reset it, by calls to /service/counter.
"""

import sys
import threading
import time

from .broker import BrokerError

CHANNEL = "/counter"
RATES = (1, 5, 20)  # ticks a second that may be asked for
PAUSE_SECONDS = 1  # after a tick that the broker did not take


class Counter:
    def __init__(self, broker):
        self._broker = broker
        self._changed = threading.Condition()
        self._count, self._running, self._rate = 0, True, 1

    def start(self):
        threading.Thread(target=self._tick, name="counter", daemon=True).start()

    def serve(self, _kind, data):
        """Answers a service call: `{"do": …}`, with the state as it is then."""
        wish = data["data"] if isinstance(data["data"], dict) else {}
        with self._changed:
            match wish.get("do"):
                case "start":
                    self._running = True
                case "stop":
                    self._running = False
                case "reset":
                    self._count = 0
                case "rate" if wish.get("rate") in RATES:
                    self._rate = wish["rate"]
                case _:
                    return {"ok": False, "why": "start, stop, reset, or rate with " + ", ".join(map(str, RATES))}
            self._publish()
            self._changed.notify()
            return {"ok": True, **self._state()}

    def _tick(self):
        due = time.monotonic()
        with self._changed:
            while True:
                if not self._running:
                    self._changed.wait()
                    due = time.monotonic() + 1 / self._rate
                    continue
                wait = due - time.monotonic()
                if wait > 0:
                    if self._changed.wait(min(wait, 1 / self._rate)):
                        due = time.monotonic() + 1 / self._rate  # somebody changed something
                    continue
                self._count += 1
                # A machine that slept does not catch up.
                due = max(due + 1 / self._rate, time.monotonic())
                if not self._publish():
                    due = time.monotonic() + PAUSE_SECONDS

    def _publish(self):
        """Called while nothing else changes, so that the order in the log is the order of the changes."""
        try:
            self._broker.publish(CHANNEL, self._state())
        except BrokerError as error:
            print(f"counter: {error}", file=sys.stderr, flush=True)
            return False
        return True

    def _state(self):
        return {"count": self._count, "running": self._running, "rate": self._rate}
