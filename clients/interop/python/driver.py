"""The aiocometd-ng client behind the driver interface of ../README.md, in a process of its own.

Started by ../harness/process-place.mjs. One JSON object a line: requests on stdin, replies and events on stdout.
Nothing here repairs, retries or hides what the client does, and nothing else is ever written to stdout.
"""
import asyncio
import json
import logging
import os
import sys
import time

from aiocometd_ng import Client, ConnectionType, Extension
from aiocometd_ng.exceptions import ClientInvalidOperation, TransportTimeoutError

# A line carries the 500 KB payload and its escapes.
MAX_LINE_BYTES = 8 * 1024 * 1024


def write(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def matches(pattern, channel):
    """Which subscription a message came by: the client hands over all messages in one queue."""
    prefix, _, last = pattern.rpartition("/")
    if last == "**":
        return channel.startswith(prefix + "/")
    if last == "*":
        return channel.rpartition("/")[0] == prefix
    return channel == pattern


class Observer(Extension):
    """Reports the replies going by; changes nothing."""

    def __init__(self, emit):
        self.emit = emit

    async def outgoing(self, payload, headers):
        pass

    async def incoming(self, payload, headers=None):
        for message in payload:
            if "data" in message:
                self.emit({"event": "arrival", "channel": message["channel"], "data": message["data"]})
            if message["channel"].startswith("/meta/"):
                fields = ("channel", "successful", "subscription", "error")
                self.emit({"event": "meta", **{field: message.get(field) for field in fields}})


class Driver:
    def __init__(self, emit, options):
        self.emit = emit
        self.client = Client(options["url"], ConnectionType(options["transport"]), extensions=[Observer(emit)])
        self.patterns = set()
        self.receiver = None

    async def connect(self, options):
        started = time.monotonic()
        await self.client.open()
        elapsed = 1000 * (time.monotonic() - started)
        self.receiver = asyncio.create_task(self.receive())
        for channel in options.get("subscriptions", []):
            await self.subscribe(channel)
        return {"milliseconds": elapsed}

    async def transport(self):
        return self.client.connection_type.value

    async def subscribe(self, channel):
        self.patterns.add(channel)
        await self.client.subscribe(channel)

    async def unsubscribe(self, channel):
        await self.client.unsubscribe(channel)
        self.patterns.discard(channel)

    async def publish(self, channel, data):
        await self.client.publish(channel, data)

    async def disconnect(self):
        started = time.monotonic()
        await self.client.close()
        elapsed = 1000 * (time.monotonic() - started)
        self.receiver.cancel()
        return {"milliseconds": elapsed}

    async def receive(self):
        """The client reports a lost connection here and goes on by itself, so the application goes on listening."""
        while True:
            try:
                message = await self.client.receive()
            except TransportTimeoutError:
                continue
            except ClientInvalidOperation:
                return
            self.deliver(message["channel"], message["data"])

    def deliver(self, channel, data):
        for pattern in self.patterns:
            if matches(pattern, channel):
                self.emit({"event": "message", "subscription": pattern, "channel": channel, "data": data})


async def answer(drivers, request):
    key, call, args = request["client"], request["call"], request["args"]
    try:
        result = None
        if call == "open":
            drivers[key] = Driver(lambda event: write({"client": key, **event}), *args)
        else:
            result = await getattr(drivers[key], call)(*args)
        write({"id": request["id"], "result": result})
    except Exception as error:
        write({"id": request["id"], "error": repr(error)})


async def main():
    logging.disable()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    drivers, answers = {}, set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(drivers, json.loads(line)))
        answers.add(task)
        task.add_done_callback(answers.discard)
    # The clients still connected go with the process, without the noise of an interpreter that is shutting down.
    os._exit(0)


asyncio.run(main())
