"""The aiosfstream-ng client, unmodified but for where it logs in, for ../test/aiosfstream.test.mjs.

`salesforce.py INSTANCE_URL CHANNEL REPLAY`: subscribes and prints what it receives, one JSON object a line, until its
input ends. REPLAY is `new`, `all`, or a replay id to go on after.
"""
import asyncio
import json
import logging
import os
import sys
from http import HTTPStatus

from aiosfstream_ng import Client, ReplayMarker, ReplayOption
from aiosfstream_ng.auth import AuthenticatorBase


class Known(AuthenticatorBase):
    """Somebody who has logged in: the library knows no other place for that than the real one."""

    def __init__(self, instance_url):
        super().__init__()
        self.where = instance_url

    async def _authenticate(self):
        answer = {"access_token": "token", "token_type": "Bearer", "instance_url": self.where}
        return HTTPStatus.OK, {**answer, "id": "", "signature": "", "issued_at": "0"}


def replay_from(text, channel):
    if text in ("new", "all"):
        return ReplayOption.NEW_EVENTS if text == "new" else ReplayOption.ALL_EVENTS
    return {channel: ReplayMarker(date="2026-01-01T00:00:00.000Z", replay_id=int(text))}


def write(message):
    print(json.dumps(message), flush=True)


async def main(instance_url, channel, replay):
    client = Client(Known(instance_url), replay=replay_from(replay, channel), replay_fallback=ReplayOption.ALL_EVENTS)
    await client.open()
    await client.subscribe(channel)
    write({"subscribed": channel})
    while True:
        write(await client.receive())


async def until_input_ends(*arguments):
    logging.disable()
    work = asyncio.create_task(main(*arguments))
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
    if work.done() and work.exception():
        write({"error": repr(work.exception())})
    # The clients still connected go with the process.
    sys.stdout.flush()
    os._exit(0)


asyncio.run(until_input_ends(*sys.argv[1:]))
