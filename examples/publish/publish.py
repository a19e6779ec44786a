"""Publishes one message:  python3 publish.py CHANNEL JSON

BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.
"""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("BAYEUX_URL", "http://127.0.0.1:8080/bayeux")
KEY = os.environ.get("BAYEUX_KEY")


def publish(channel, data):
    headers = {"Content-Type": "application/json"}
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    body = json.dumps({"channel": channel, "data": data}).encode()
    try:
        answer = urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=10)
    except urllib.error.HTTPError as error:
        answer = error  # it has a body as well, which says more
    with answer:
        try:
            reply = json.load(answer)[0]
        except (ValueError, LookupError, TypeError):
            raise OSError(f"HTTP status {answer.status}, and no reply") from None
    if reply.get("successful") is not True:
        raise OSError(f"refused: {reply.get('error')}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python3 publish.py CHANNEL JSON")
    try:
        publish(sys.argv[1], json.loads(sys.argv[2]))
    except (OSError, ValueError) as error:
        sys.exit(f"publish: {error}")
