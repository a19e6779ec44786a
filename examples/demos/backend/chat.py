"""The chat: who is here, what they may say, and who is gone.

Joining, leaving and private messages are calls to /service/chat/…; what is said to all is published by the pages
themselves, and a hook writes the true name into it. Session ids are credentials, so that members are known to each other
by ids of their own. State is kept in this process only: after a restart the pages join again.
"""

import secrets
import sys
import threading
import time
from dataclasses import dataclass, replace

from .broker import BrokerError

ROOM, MEMBERS, PRIVATE = "/chat/room", "/chat/members", "/service/chat/private"
MAX_NAME, MAX_TEXT, MAX_MEMBERS = 24, 1000, 200
FRESH_SECONDS = 5  # whoever joined so recently is not looked for
COLOURS = 5  # that the page has for members
WORDS = {"disconnected": "left", "expired": "timed out", "kicked": "was asked to leave"}


@dataclass
class Member:
    id: str
    name: str
    ticket: str  # known to one page only, which takes its place again with it
    since: float
    colour: int

    def public(self):
        return {"id": self.id, "name": self.name, "colour": self.colour}


class Chat:
    def __init__(self, broker):
        self._broker = broker
        self._lock = threading.RLock()
        self._members = {}  # from session id

    def serve(self, _kind, data):
        """Answers a service call."""
        do = {"join": self._join, "leave": self._leave, "private": self._private}
        name = data["channel"].removeprefix("/service/chat/")
        wish = data["data"] if isinstance(data["data"], dict) else {}
        if name not in do:
            return no("there is no such service")
        return do[name](data["session"], wish)

    def judge(self, data):
        """A hook: puts name and time into what a member says, and refuses everybody else."""
        with self._lock:
            member = self._members.get(data["session"])
        said = text_of(data["data"])
        if member is None:
            return {"allow": False, "reason": "join first"}
        if said is None:
            return {"allow": False, "reason": "nothing said"}
        return {"allow": True, "data": {"from": member.public(), "text": said, "at": now()}}

    def hear(self, kind, data):
        """Events: sessions that ended. The same may come twice; the second time nobody is found."""
        if kind != "events":
            return
        for event in data["events"]:
            if event["type"] == "session_removed":
                self._remove(event["session"], WORDS.get(event["cause"], "left"))
            elif event["type"] == "events_lost":
                self._look_around()
        if data.get("gap"):
            self._look_around()

    def _join(self, session, wish):
        name = " ".join(str(wish.get("name", "")).split())[:MAX_NAME]
        ticket = str(wish.get("ticket", ""))[:64]
        if not name or not name.isprintable():
            return no("a name is needed")
        self._look_around()
        with self._lock:
            before = self._members.get(session) or self._by_ticket(ticket)
            taken = next((m for m in self._members.values() if m.name.casefold() == name.casefold()), None)
            if taken and taken is not before:
                return no(f"{taken.name} is here already")
            if not before and len(self._members) >= MAX_MEMBERS:
                return no("the room is full")
            if before:
                member = replace(before, name=name, ticket=ticket, since=time.monotonic())
            else:
                member = Member(secrets.token_hex(4), name, ticket, time.monotonic(), self._rarest_colour())
            self._members = {s: m for s, m in self._members.items() if m is not before} | {session: member}
            if not before or before.name != name:
                self._tell(f"{name} joined" if not before else f"{before.name} is now {name}")
            self._tell_members()
            return {"ok": True, "you": member.public()}

    def _leave(self, session, _wish):
        self._remove(session, "left")
        return {"ok": True}

    def _private(self, session, wish):
        said = text_of(wish)
        with self._lock:
            sender = self._members.get(session)
            found = next(((s, m) for s, m in self._members.items() if m.id == wish.get("to")), None)
        if sender is None:
            return no("join first")
        if said is None:
            return no("nothing said")
        message = {"from": sender.public(), "text": said, "at": now()}
        if found is None:
            return no("nobody of that name is here any more")
        try:
            arrived = self._broker.deliver(found[0], PRIVATE, message)
        except BrokerError as error:
            print(f"chat: {error}", file=sys.stderr, flush=True)
            arrived = False
        return {"ok": True, "to": found[1].public(), **message} if arrived else no(f"{found[1].name} cannot be reached")

    def _by_ticket(self, ticket):
        return next((m for m in self._members.values() if ticket and m.ticket == ticket), None)

    def _rarest_colour(self):
        worn = [member.colour for member in self._members.values()]
        return min(range(COLOURS), key=worn.count)

    def _look_around(self):
        """Finds members whose end nobody told: their sessions do not subscribe to the room any more."""
        with self._lock:
            late = [s for s, m in self._members.items() if time.monotonic() - m.since > FRESH_SECONDS]
        if not late:
            return
        try:
            here = self._broker.subscribers(ROOM)
        except BrokerError as error:
            return print(f"chat: {error}", file=sys.stderr, flush=True)
        for session in late:
            if session not in here:
                self._remove(session, "was lost")

    def _remove(self, session, how):
        with self._lock:
            member = self._members.pop(session, None)
            if member:
                self._tell(f"{member.name} {how}")
                self._tell_members()

    def _tell(self, notice):
        self._publish(ROOM, {"notice": notice, "at": now()})

    def _tell_members(self):
        members = sorted((m.public() for m in self._members.values()), key=lambda m: m["name"].casefold())
        self._publish(MEMBERS, {"members": members})

    def _publish(self, channel, data):
        """Called with the lock held: the order in the log is the order of what happened."""
        try:
            self._broker.publish(channel, data)
        except BrokerError as error:
            print(f"chat: {error}", file=sys.stderr, flush=True)


def text_of(data):
    text = data.get("text") if isinstance(data, dict) else None
    text = text.strip()[:MAX_TEXT] if isinstance(text, str) else ""
    return text or None


def no(why):
    return {"ok": False, "why": why}


def now():
    return int(time.time() * 1000)
