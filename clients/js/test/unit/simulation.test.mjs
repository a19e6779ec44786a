/*
 * A server with a log, and a client whose links break, whose replies get lost and whose server forgets it, as a seed
 * decides. Whatever happens: a subscription sees every message of the log after its beginning once, in order.
 * Replay a failure with SEED=n.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { dice, FakeServer, refuse, until } from "../support/fake.mjs";

const SEEDS = process.env.SEED ? [+process.env.SEED] : Array.from({ length: 300 }, (_, seed) => seed + 1);
const STEPS = 60;

class LogServer extends FakeServer {
  log = [];
  known = new Map();
  /** By pattern: the length of the log when it was first subscribed to. */
  begun = new Map();

  constructor(chance, ack) {
    super();
    Object.assign(this, { chance, ack, ext: { replay: true, ack } });
    this.answers["/meta/handshake"] = (message, link, standard) => {
      const reply = standard();
      this.known.set(reply.clientId, { patterns: new Set(), out: [], unacked: [], batch: 0, link });
      return reply;
    };
    this.answers["/meta/subscribe"] = (message) => this.inSession(message, (session) => this.subscribe(message, session));
    this.answers["/meta/connect"] = (message, link) => this.inSession(message, (session) => this.connect(message, link, session));
  }

  inSession(message, act) {
    const session = this.known.get(message.clientId);
    return session ? act(session) : refuse(message, "402::session_unknown", { reconnect: "handshake", interval: 0 });
  }

  subscribe({ channel, id, subscription, ext }, session) {
    const from = ext?.replay?.[subscription] ?? -1;
    session.patterns.add(subscription);
    if (!this.begun.has(subscription)) this.begun.set(subscription, from == -1 ? this.log.length : 0);
    if (from != -1) session.out.push(...this.log.filter((event) => event.channel == subscription && event.ext.replay.id > from));
    this.pump();
    return { channel, id, subscription, successful: true };
  }

  connect(message, link, session) {
    session.link = link;
    if (this.ack) session.unacked = session.unacked.filter(({ batch }) => batch > message.ext.ack);
    session.held = message.advice ? undefined : message;
    const again = session.unacked.map(({ event }) => event);
    if (!session.held) return this.reply(message, session, again);
    if (again.length) this.answer(session, again);
    this.pump();
    return undefined;
  }

  reply({ channel, id }, session, events) {
    return [...events, { channel, id, successful: true, ext: this.ack ? { ack: ++session.batch } : undefined }];
  }

  /** Answers the held connect with events; sometimes the link breaks under it. */
  answer(session, events) {
    const { held, link } = session;
    session.held = undefined;
    const messages = this.reply(held, session, events);
    setImmediate(() => {
      if (this.chance() < 0.2) return link.break("cut under a reply");
      if (!link.closed) link.push(...messages);
    });
  }

  publish(channel) {
    const event = { channel, data: this.log.length, ext: { replay: { id: this.log.length + 1 } } };
    this.log.push(event);
    for (const session of this.known.values()) if (session.patterns.has(channel)) session.out.push(event);
    this.pump();
  }

  /** Hands over what waits: with the connect when acknowledged, else at once, and sometimes into a link that breaks. */
  pump() {
    for (const session of this.known.values()) {
      if (!session.out.length || !session.link || session.link.closed) continue;
      if (this.ack) {
        if (!session.held) continue;
        const events = session.out.splice(0);
        const all = [...session.unacked.map(({ event }) => event), ...events];
        session.unacked.push(...events.map((event) => ({ event, batch: session.batch + 1 })));
        for (const entry of session.unacked) entry.batch = session.batch + 1;
        this.answer(session, all);
      } else {
        const events = session.out.splice(0);
        const { link } = session;
        setImmediate(() => {
          if (link.closed) return;
          if (this.chance() < 0.2) link.break("cut under an event");
          else link.push(...events);
        });
      }
    }
  }

  /** Everything a restart forgets: sessions, but not the log. */
  restart() {
    this.known.clear();
    this.link?.break("restart");
  }
}

for (const ack of [true, false]) {
  it(`every message once, in order, ${ack ? "with" : "without"} acknowledgement (${SEEDS.length} seeds)`, async () => {
    for (const seed of SEEDS) {
      const roll = dice(seed);
      let trouble = false;
      const chance = () => (trouble ? roll() : 1);
      const server = new LogServer(chance, ack);
      const client = server.client({ backoff: 0 });
      const seen = { "/a": [], "/b": [], "/c": [] };
      const subscribe = (channel, options) => client.subscribe(channel, ({ data }) => seen[channel].push(data), options);
      await client.connect();
      await subscribe("/a").ready;
      await subscribe("/b").ready;
      // A live subscription has a place in the log from its first message on, whoever's that is.
      server.publish("/a");
      await until(() => seen["/a"].length);
      trouble = true;
      let late;
      for (let step = 0; step < STEPS; step++) {
        const fate = chance();
        if (fate < 0.7) server.publish(chance() < 0.8 ? "/a" : "/b");
        else if (fate < 0.8) server.link.break("cut");
        else if (fate < 0.85) server.restart();
        else if (fate < 0.87) late ??= subscribe("/c", { replay: -2 });
        else if (fate < 0.9) server.publish("/c");
        if (chance() < 0.5) await new Promise((resolve) => setImmediate(resolve));
      }
      const expected = (channel) =>
        server.log.slice(server.begun.get(channel)).flatMap((event) => (event.channel == channel ? [event.data] : []));
      const complete = (channel) => !server.begun.has(channel) || seen[channel].length >= expected(channel).length;
      const pushing = setInterval(() => server.pump(), 1);
      try {
        await until(() => Object.keys(seen).every(complete), () => `seed ${seed}: ${JSON.stringify(seen)} of ${JSON.stringify(server.log.map(({ channel, data }) => channel + data))}, ${client.state}`);
      } finally {
        clearInterval(pushing);
      }
      for (const channel of Object.keys(seen)) {
        if (server.begun.has(channel)) assert.deepEqual(seen[channel], expected(channel), `seed ${seed}, ${channel}`);
      }
      await client.disconnect();
    }
  });
}
