/*
 * A scripted far end: a transport whose server is a few functions of the test. Used where a real server cannot be made
 * to misbehave on cue. Everything passes through JSON, as on the wire. Never uses a timer.
 */
import { BayeuxError, Client } from "@bayeuxd/client";

const turn = () => new Promise((resolve) => setImmediate(resolve));
/** How long something may take that must happen, in milliseconds: the machine may be busy. */
const PATIENCE = 60_000;

/** Lets everything that is already possible happen. */
export const settle = async () => {
  for (let turns = 0; turns < 10; turns++) await turn();
};

/** Turns the event loop until the condition holds; fails when it never does. */
export const until = async (condition, what = () => condition) => {
  const deadline = performance.now() + PATIENCE;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what()}`);
    await turn();
  }
};

/** One link, seen from the server. */
class FakeLink {
  closed = false;
  constructor(server, type, host) {
    Object.assign(this, { server, type, host, url: host.url });
  }
  /** Sends messages to the client. */
  push(...messages) {
    this.host.receive(JSON.parse(JSON.stringify(messages)));
  }
  break(why = "cut") {
    this.host.fail(why);
  }
}

/**
 * A server that by default accepts everything and holds connects. Override what matters to the test:
 * `server.answers["/meta/connect"] = (message, link) => reply | [replies] | undefined`.
 */
export class FakeServer {
  links = [];
  /** Every message the client has written, with `link` and `batch` (which write it travelled in). */
  received = [];
  /** Held connects: `{ message, link }`. */
  held = [];
  sessions = 0;
  batches = 0;
  /** What the handshake grants. */
  ext = undefined;
  advice = undefined;
  answers = {};
  /** Throw here to make opening fail. */
  opening = () => {};

  get link() {
    return this.links.at(-1);
  }

  transport(type = "websocket") {
    return {
      type,
      open: (host) => {
        this.opening(host, type);
        const link = new FakeLink(this, type, host);
        this.links.push(link);
        queueMicrotask(() => link.closed || host.opened());
        return {
          send: (messages) => this.#take(link, JSON.parse(JSON.stringify(messages))),
          close: () => (link.closed = true),
        };
      },
    };
  }

  client(options = {}, url = "http://fake/bayeux") {
    return new Client(url, { transports: [this.transport()], ...options });
  }

  on(channel) {
    return this.received.filter((message) => message.channel == channel);
  }

  /** Answers the newest held connect. */
  release(fields = {}, ...events) {
    const { message, link } = this.held.pop();
    link.push(...events, { channel: message.channel, id: message.id, successful: true, ...fields });
  }

  #take(link, messages) {
    this.batches++;
    for (const message of messages) this.received.push(Object.assign(message, { batch: this.batches }));
    Object.defineProperty(messages, "link", { value: link });
    // In a later turn of the event loop, as over a network.
    setImmediate(() => {
      if (link.closed) return;
      const replies = messages.flatMap((message) => {
        const answer = this.answers[message.channel] ?? this.answers["*"];
        const replies = answer ? answer(message, link, () => this.standard(message, link)) : this.standard(message, link);
        return replies ?? [];
      });
      if (replies.length && !link.closed) link.push(...replies);
    });
  }

  standard(message, link) {
    const { channel, id, subscription } = message;
    const reply = { channel, id, subscription, successful: true };
    if (channel == "/meta/handshake") {
      reply.clientId = "c" + ++this.sessions;
      reply.supportedConnectionTypes = ["websocket", "long-polling"];
      reply.ext = this.ext;
      reply.advice = this.advice;
    } else if (channel == "/meta/connect" && message.advice?.timeout !== 0) {
      this.held.push({ message, link });
      return undefined;
    }
    return reply;
  }
}

/** A refusal of `message`. */
export const refuse = ({ channel, id, subscription }, error, advice) => ({ channel, id, subscription, successful: false, error, advice });

/** The code of the BayeuxError a promise fails with. */
export const failure = (promise) =>
  promise.then(
    () => "no failure",
    (error) => (error instanceof BayeuxError ? error.message : error),
  );

/** Records events of a client as `type` or `type:detail` strings. */
export const record = (client) => {
  const log = [];
  client.on("state", ({ state, resumed }) => log.push(state == "connected" ? `connected${resumed ? ":resumed" : ""}` : state));
  client.on("gap", (gap) => log.push({ gap }));
  client.on("error", ({ error, channel }) => log.push({ error: String(error), channel }));
  return log;
};

/** Chances between 0 and 1 that are the same for the same seed (mulberry32). */
export const dice = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
