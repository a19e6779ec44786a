"""The delayed echo: answers a call to /service/echo after the time that the caller asks for, or fails as asked."""

import time

from .server import Refused

MAX_DELAY_SECONDS = 10
MAX_TEXT = 200


def serve(_kind, data):
    """`{"text": …, "delay": milliseconds, "fail": true}`; the answer is sent by the broker to the caller alone."""
    wish = data["data"]
    if not isinstance(wish, dict) or not isinstance(wish.get("text"), str):
        raise Refused(422, "a text is needed")
    delay = wish.get("delay", 0)
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay <= MAX_DELAY_SECONDS * 1000:
        raise Refused(422, "a delay in milliseconds, of 10 s at most")
    time.sleep(delay / 1000)
    if wish.get("fail"):
        raise Refused(500, "as you wish")
    return {"echo": wish["text"][:MAX_TEXT], "slept": delay}
