#!/usr/bin/env python3
"""Stopped readers and a flood: makes sessions that subscribe and then say nothing, and publishes to their channel.

Called by scripts/bench-slow-readers.sh, which measures live readers on another channel beside it. Talks to one broker on
the loopback address; ends by itself. Prints one JSON line: what was published, how long it took, and the broker's memory
before and after.
"""
import argparse
import http.client
import json
import sys
import threading
import time


def main():
    args = arguments()
    host, port = args.addr.rsplit(":", 1)
    if host not in ("127.0.0.1", "localhost"):
        sys.exit("only brokers of this machine")
    open_readers(host, int(port), args)
    before = rss_kb(args.pid)
    began = time.monotonic()
    each = args.messages // args.publishers
    threads = [threading.Thread(target=publish, args=(host, int(port), args, each)) for _ in range(args.publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    print(json.dumps({
        "readers": args.readers, "published": each * args.publishers, "seconds": round(took, 1),
        "per_s": round(each * args.publishers / took), "rss_before_mb": before // 1024, "rss_after_mb": rss_kb(args.pid) // 1024,
    }))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--addr", required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--publishers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=int, default=20_000, help="messages a second, all publishers together")
    return parser.parse_args()


def post(connection, messages):
    connection.request("POST", "/bayeux", json.dumps(messages), {"Content-Type": "application/json"})
    replies = json.loads(connection.getresponse().read())
    refused = [reply for reply in replies if not reply.get("successful")]
    if refused:
        sys.exit(f"refused: {refused[0]}")
    return replies


def open_readers(host, port, args):
    connection = http.client.HTTPConnection(host, port)
    for _ in range(args.readers):
        client = post(connection, [{"channel": "/meta/handshake"}])[0]["clientId"]
        post(connection, [{"channel": "/meta/subscribe", "clientId": client, "subscription": "/stopped/*"}])
        post(connection, [{"channel": "/meta/connect", "clientId": client, "advice": {"timeout": 0}}])


def publish(host, port, args, count):
    connection = http.client.HTTPConnection(host, port)
    batch = [{"channel": "/stopped/a", "data": {"n": 1, "text": "x" * 80}}] * args.batch
    pause = args.batch * args.publishers / args.rate
    due = time.monotonic()
    for _ in range(count // args.batch):
        post(connection, batch)
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
