/*
 * The CometD compatibility layer. First the same small application with the official client and with ours, whose
 * stories must be the same; then what only ours does.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as ours from "@bayeuxd/client/compat/cometd";
import WebSocket from "ws";
import { adapt } from "cometd-nodejs-client";
import { until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

// The official client needs a `window`, which its companion makes; ours must not see a browser by that.
adapt();
const official = await import("cometd");

const META = ["handshake", "connect", "subscribe", "unsubscribe", "publish", "disconnect", "unsuccessful"];

/** What applications see of a message, without what differs from run to run. */
const show = ({ channel, successful, subscription, reestablish, data, error, failure }) =>
  [
    channel,
    successful,
    subscription,
    reestablish === undefined ? undefined : "reestablish=" + reestablish,
    data === undefined ? undefined : JSON.stringify(data),
    error,
    failure && "failure",
  ]
    .filter((part) => part !== undefined)
    .join(" ");

/** A client that tells its story: one line for each thing the application is told, repeated lines once. */
const storyteller = ({ CometD, kind }, options) => {
  const cometd = new CometD();
  if (!KINDS[kind].transports.includes("websocket")) cometd.unregisterTransport("websocket");
  const story = [];
  const tell = (line) => story.at(-1) != line && story.push(line);
  for (const name of META) cometd.addListener("/meta/" + name, (message) => tell(`${name}: ${show(message)}`));
  cometd.configure({ logLevel: "error", maxNetworkDelay: 30_000, backoffIncrement: 100, maxBackoff: 300, WebSocket, ...options });
  return { cometd, story, tell };
};

/** One step of an application: starts something, and waits for the callback. */
const step = (start) => new Promise((resolve) => start(resolve));
const sorted = (story) => [...story].sort();
const without = (story, ...names) => story.filter((line) => !names.some((name) => line.startsWith(name + ":")));

const applications = {
  async "handshake, subscribe, publish, unsubscribe, disconnect"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    await step((done) => cometd.handshake((reply) => (tell("handshake callback " + reply.successful), done())));
    assert.equal(typeof cometd.getClientId(), "string");
    const first = await step((done) => {
      const handle = cometd.subscribe("/story/*", (message) => tell("event " + show(message)), (reply) => {
        tell("subscribe callback " + show(reply));
        done(handle);
      });
    });
    await step((done) => cometd.subscribe("/story/*", (message) => tell("second " + show(message)), (reply) => (tell("again " + show(reply)), done())));
    cometd.publish("/story/a", { n: 1 }, (reply) => tell("publish callback " + show(reply)));
    await until(() => story.some((line) => line.startsWith("second")) && story.some((line) => line.startsWith("publish callback")));
    await step((done) => cometd.unsubscribe(first, (reply) => (tell("unsubscribe callback " + show(reply)), done())));
    cometd.publish("/story/b", { n: 2 });
    await until(() => story.some((line) => line.includes('second /story/b {"n":2}')));
    await step((done) => cometd.disconnect((reply) => (tell("disconnect callback " + show(reply)), done())));
    tell(`${cometd.getStatus()} ${cometd.isDisconnected()}`);
    // Whether an event or the reply to its publish is told first is the network's business.
    return sorted(without(story, "connect"));
  },

  async "what is asked for during the handshake goes out after it, in order"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    cometd.init({ url });
    cometd.batch(() => {
      cometd.subscribe("/held", (message) => tell("event " + show(message)));
      cometd.publish("/held", "early", (reply) => tell("published " + reply.successful));
    });
    await until(() => story.includes('event /held "early"') && story.includes("published true"));
    await step((done) => cometd.disconnect(done));
    return sorted(without(story, "connect"));
  },

  async "what is refused"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/denied/a", () => {}, (reply) => (tell("refused " + show(reply)), done())));
    await step((done) => cometd.publish("/denied/a", 1, (reply) => (tell("refused " + show(reply)), done())));
    await step((done) => cometd.disconnect(done));
    return without(story, "connect");
  },

  async "calls"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.remoteCall("echo", "hello", (answer) => (tell(show(answer)), done())));
    await step((done) =>
      cometd.remoteCall("nobody", "hello", 100, (answer) => {
        tell(`${answer.successful} ${answer.error} ${answer.failure.reason} ${answer.failure.message.data}`);
        done();
      }),
    );
    await step((done) => cometd.disconnect(done));
    // Answer and reply may come by different requests.
    return sorted(without(story, "connect"));
  },

  async "a server that goes away and comes back"(library, url, server) {
    const { cometd, story, tell } = storyteller(library, { url });
    let handle;
    cometd.addListener("/meta/handshake", ({ successful }) => {
      if (successful) cometd.batch(() => (handle = cometd.subscribe("/back", (message) => tell("event " + show(message)))));
    });
    cometd.handshake();
    await until(() => story.some((line) => line.startsWith("connect: /meta/connect true")));
    await server.kill();
    await until(() => story.some((line) => line.startsWith("connect: /meta/connect false failure")));
    await server.start();
    await until(() => story.some((line) => line.includes("reestablish=true")));
    await until(() => story.at(-1).startsWith("connect: /meta/connect true"));
    cometd.publish("/back", "again");
    await until(() => story.some((line) => line.startsWith("event")));
    await step((done) => cometd.disconnect(done));
    // How often it tried is not part of the story, nor is the name of the lost session.
    return [...new Set(story.map((line) => line.replace(/401:\w+:/, "401:…:")))].sort();
  },

  async "illegal uses"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const attempt = (what, action) => {
      try {
        tell(`${what}: ${action() ?? "fine"}`);
      } catch {
        tell(`${what}: throws`);
      }
    };
    attempt("publish before", () => cometd.publish("/a", 1));
    attempt("subscribe before", () => cometd.subscribe("/a", () => {}));
    attempt("disconnect before", () => cometd.disconnect());
    attempt("endBatch alone", () => new library.CometD().endBatch());
    attempt("configure without url", () => new library.CometD().configure({}));
    await step((done) => cometd.handshake(done));
    attempt("handshake twice", () => cometd.handshake());
    attempt("publish to meta", () => cometd.publish("/meta/x", 1));
    attempt("publish to nothing", () => cometd.publish("a", 1));
    attempt("subscribe to =", () => cometd.subscribe("/a=b", () => {}));
    attempt("subscribe without callback", () => cometd.subscribe("/a", {}, "missing"));
    attempt("removeListener of nothing", () => cometd.removeListener(undefined));
    attempt("transport event", () => cometd.addTransportListener("other", () => {}));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },

  async "scopes, globs, and listeners that throw"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const scope = { name: "scope", hear(message) { tell(`${this.name} ${show(message)}`); } };
    cometd.onListenerException = function (error, handle, isListener) {
      tell(`caught ${error.message} ${handle.channel} ${isListener}`);
    };
    cometd.addListener("/deep/**", (message) => tell("** " + show(message)));
    cometd.addListener("/deep/a/*", () => { throw new Error("mine"); });
    cometd.addListener("/deep/a/**", scope, scope.hear);
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/deep/a/b", scope, "hear", done));
    cometd.publish("/deep/a/b", 1);
    await until(() => story.some((line) => line.startsWith("**")));
    cometd.clearListeners();
    cometd.publish("/deep/a/b", 2);
    await step((done) => cometd.publish("/deep/a/b", 3, done));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },

  async "extensions"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const extension = (name) => ({
      registered: (own) => tell(`${name} registered as ${own}`),
      unregistered: () => tell(`${name} unregistered`),
      outgoing: (message) => {
        if (message.channel == "/ext") tell(`${name} out ${message.data.marks}`);
        if (message.channel == "/ext") message.data.marks += name;
        return message;
      },
      incoming: (message) => {
        if (message.channel == "/ext" && message.data) tell(`${name} in ${message.data.marks}`);
        if (message.data?.marks == "drop") return null;
      },
    });
    tell(cometd.registerExtension("one", extension("1")) + "");
    tell(cometd.registerExtension("two", extension("2")) + "");
    tell("again " + cometd.registerExtension("two", extension("3")));
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/ext", ({ data }) => tell("event " + data.marks), done));
    cometd.publish("/ext", { marks: "" });
    await until(() => story.some((line) => line.startsWith("event")));
    tell("removed " + cometd.unregisterExtension("one") + cometd.unregisterExtension("one"));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },
};

for (const kind of Object.keys(KINDS)) {
  describe(`the same application on ${kind}`, () => {
    let server;
    before(async () => (server = await Server.start(kind)));
    after(() => server.stop());
    const { denies, calls } = KINDS[kind];
    for (const [name, application] of Object.entries(applications)) {
      if ((name == "calls" && !calls) || (name == "what is refused" && !denies)) continue;
      it(name, async () => {
        const theirs = await application({ ...official, kind }, server.url, server);
        const story = await application({ ...ours, kind }, server.url, server);
        assert.deepEqual(story, theirs);
        assert.ok(story.length > 2, "there is a story to compare");
      });
    }
  });
}

describe("compat/cometd by itself", () => {
  let server;
  const made = [];
  const make = async (options) => {
    const cometd = new ours.CometD();
    made.push(cometd);
    cometd.configure({ url: server.url, logLevel: "error", WebSocket, backoffIncrement: 10, maxBackoff: 50, ...options });
    return cometd;
  };
  const handshake = (cometd) => step((done) => cometd.handshake(done));
  /** Until the first connect, too, is answered. */
  const connected = (cometd) =>
    step((done) => {
      cometd.addListener("/meta/connect", done);
      cometd.handshake();
    });
  before(async () => (server = await Server.start("faye")));
  after(async () => {
    for (const cometd of made) cometd.disconnect();
    await server.stop();
  });

  it("has every name of the official client that applications use", () => {
    const names = (object) => Object.getOwnPropertyNames(object).filter((name) => !name.startsWith("_") && name != "constructor");
    const mine = new ours.CometD();
    const missing = names(official.CometD.prototype).filter((name) => typeof mine[name] != "function");
    assert.deepEqual(missing, []);
    assert.deepEqual(
      Object.keys(official).filter((name) => !(name in ours)).sort(),
      ["RequestTransport"],
      "base class for transports of one's own, which are not supported",
    );
  });

  it("makes subscriptions again by itself when told to", async () => {
    const cometd = await make({ resubscribe: true });
    await handshake(cometd);
    const heard = [];
    await step((done) => cometd.subscribe("/kept", ({ data }) => heard.push(data), done));
    const again = new Promise((resolve) => cometd.addListener("/meta/handshake", ({ reestablish }) => reestablish && resolve()));
    await server.kill();
    await server.start();
    await again;
    await step((done) => cometd.publish("/kept", "again", done));
    await until(() => heard.length);
    assert.deepEqual(heard, ["again"]);
  });

  it("tells of a transport that does not work, and goes on with the next", async () => {
    class Blocked extends WebSocket {
      constructor() {
        super("ws://127.0.0.1:1");
      }
    }
    const cometd = await make({ WebSocket: Blocked });
    const told = [];
    cometd.onTransportException = ({ connectionType, reason }, before, now) => told.push([typeof reason, connectionType, before, now]);
    const replies = [];
    cometd.addListener("/meta/handshake", ({ successful, failure }) => replies.push([successful, failure?.transport.type]));
    cometd.handshake();
    await until(() => cometd.getStatus() == "connected");
    assert.deepEqual(told, [["string", "websocket", "websocket", "long-polling"]]);
    assert.deepEqual(replies, [[false, "websocket"], [true, undefined]]);
    assert.equal(cometd.getTransport().type, "long-polling");
  });

  it("obeys onTransportFailure: give up, or go elsewhere", async () => {
    const cometd = await make({ url: "http://127.0.0.1:1/bayeux" });
    cometd.onTransportFailure = (message, info, handler) => handler({ ...info, url: server.url });
    cometd.handshake();
    await until(() => cometd.getStatus() == "connected");
    assert.equal(cometd.getURL(), server.url);

    const other = await make({ url: "http://127.0.0.1:1/bayeux" });
    other.onTransportFailure = (message, info, handler) => handler({ ...info, action: "none" });
    other.handshake();
    await until(() => other.isDisconnected());
  });

  it("lets transport listeners extend the wait", async () => {
    const cometd = await make({ maxNetworkDelay: 50 });
    const late = [];
    cometd.addTransportListener("timeout", (messages) => (late.push(messages.map(({ channel }) => channel)), 5000));
    await connected(cometd);
    await server.freeze();
    const published = step((done) => cometd.publish("/slow", 1, done));
    await until(() => late.some((channels) => channels.includes("/slow"))).finally(() => server.thaw());
    assert.equal((await published).successful, true);
  });

  it("fails what gets no answer in time", async () => {
    const cometd = await make({ maxNetworkDelay: 50 });
    await connected(cometd);
    await server.freeze();
    const { successful, failure } = await step((done) => cometd.publish("/slow", 1, done)).finally(() => server.thaw());
    assert.equal(successful, false);
    assert.equal(failure.message.channel, "/slow");
  });

  it("does without WebSocket when told to", async () => {
    for (const without of [(cometd) => (cometd.websocketEnabled = false), (cometd) => cometd.unregisterTransport("websocket")]) {
      const cometd = await make();
      without(cometd);
      await handshake(cometd);
      assert.equal(cometd.getTransport().type, "long-polling");
      assert.equal(cometd.registerTransport("long-polling", new ours.LongPollingTransport()), false);
    }
    const none = await make();
    none.unregisterTransports();
    assert.throws(() => none.handshake(), /transport/);
  });

  it("merges props into handshake, subscribe, publish, unsubscribe and disconnect messages", async () => {
    const cometd = await make();
    const seen = {};
    cometd.registerExtension("spy", { outgoing: (message) => void (message.mine && (seen[message.channel] = message.mine)) });
    await step((done) => cometd.handshake({ mine: 1, channel: "/not/mine" }, done));
    const handle = await step((done) => { const handle = cometd.subscribe("/props", () => {}, { mine: 2 }, () => done(handle)); });
    await step((done) => cometd.publish("/props", 1, { mine: 3 }, done));
    await step((done) => cometd.unsubscribe(handle, { mine: 4 }, done));
    await step((done) => cometd.disconnect({ mine: 5 }, done));
    assert.deepEqual(seen, { "/meta/handshake": 1, "/meta/subscribe": 2, "/props": 3, "/meta/unsubscribe": 4, "/meta/disconnect": 5 });
  });

  it("sends what a batch holds in one go, when the outermost ends", async () => {
    const cometd = await make();
    await handshake(cometd);
    const heard = [];
    await step((done) => cometd.subscribe("/batch", ({ data }) => heard.push(data), done));
    cometd.startBatch();
    cometd.publish("/batch", 1);
    cometd.batch(() => cometd.publish("/batch", 2));
    await step((done) => cometd.addListener("/meta/connect", done) && done());
    assert.deepEqual(heard, []);
    cometd.endBatch();
    await until(() => heard.length == 2);
    assert.throws(() => cometd.batch(() => { throw new Error("mine"); }), /mine/);
    await step((done) => cometd.publish("/batch", 3, done));
  });

  it("goes on after one endBatch() too many", async () => {
    const cometd = await make();
    assert.throws(() => cometd.endBatch(), /not paired/);
    await handshake(cometd);
    await step((done) => cometd.batch(() => cometd.publish("/unpaired", 1, done)));
  });

  it("answers an unsubscribe of what is given up already", async () => {
    const cometd = await make();
    await handshake(cometd);
    const handle = await step((done) => { const handle = cometd.subscribe("/twice", () => {}, () => done(handle)); });
    const before = await step((done) => cometd.unsubscribe(handle, done));
    const after = await step((done) => cometd.unsubscribe(handle, done));
    assert.deepEqual([before.successful, after.successful, after.subscription], [true, true, "/twice"]);
  });

  it("subscribes again by handle, and clears", async () => {
    const cometd = await make();
    await handshake(cometd);
    const heard = [];
    const first = await step((done) => { const handle = cometd.subscribe("/again", ({ data }) => heard.push(data), () => done(handle)); });
    const second = cometd.resubscribe(first);
    assert.notEqual(second, first);
    assert.equal(cometd.resubscribe(undefined), undefined);
    await step((done) => cometd.publish("/again", 1, done));
    await until(() => heard.length);
    cometd.clearSubscriptions();
    await step((done) => cometd.publish("/again", 2, done));
    assert.deepEqual(heard, [1]);
  });

  it("carries bytes with the binary extension", async () => {
    const cometd = await make();
    cometd.registerExtension("binary", new ours.BinaryExtension());
    await handshake(cometd);
    const bytes = Uint8Array.from({ length: 257 }, (_, n) => n * 7);
    const message = await step((done) => {
      cometd.subscribe("/bytes", done, () => cometd.publishBinary("/bytes", bytes, true, { name: "x" }));
    });
    assert.deepEqual(message.data.meta, { name: "x" });
    assert.equal(message.data.last, true);
    assert.deepEqual(new Uint8Array(message.data.data), bytes);
  });

  it("encodes bytes as the official client does", () => {
    for (let length = 0; length < 20; length++) {
      const bytes = Array.from({ length }, (_, n) => (n * 89 + length * 31) % 256);
      assert.equal(ours.Z85.encode(bytes), zeta(bytes));
      assert.deepEqual([...new Uint8Array(ours.Z85.decode(zeta(bytes)))], bytes);
    }
    assert.throws(() => ours.Z85.decode("a~b"));
  });

  it("keeps the time with the timesync extension", () => {
    const sync = new ours.TimeSyncExtension({ maxSamples: 2 });
    const out = sync.outgoing({ channel: "/meta/connect" });
    assert.deepEqual([out.ext.timesync.l, out.ext.timesync.o], [0, 0]);
    const now = Date.now();
    for (let n = 0; n < 3; n++) sync.incoming({ channel: "/meta/connect", ext: { timesync: { tc: now - 100, ts: now + 5000, p: 60 } } });
    assert.ok(Math.abs(sync.getNetworkLag() - 20) <= 5);
    assert.ok(Math.abs(sync.getTimeOffset() - 5080) <= 10);
    assert.ok(sync.getServerDate() > new Date(now + 5000));
    assert.equal(typeof new ours.TimeStampExtension().outgoing({ channel: "/a" }).timestamp, "string");
  });

  it("takes a session over a page reload", async () => {
    const stored = new Map();
    globalThis.sessionStorage = {
      getItem: (key) => stored.get(key) ?? null,
      setItem: (key, value) => stored.set(key, value),
      removeItem: (key) => stored.delete(key),
    };
    try {
      const page = await make();
      page.registerExtension("reload", new ours.ReloadExtension());
      await handshake(page);
      await until(() => page.getStatus() == "connected");
      const clientId = page.getClientId();
      page.reload();
      const next = await make();
      next.registerExtension("reload", new ours.ReloadExtension());
      const reply = await handshake(next);
      assert.equal(reply.ext.reload, true);
      assert.equal(next.getClientId(), clientId);
      const heard = [];
      await step((done) => next.subscribe("/reloaded", ({ data }) => heard.push(data), done));
      next.publish("/reloaded", 1);
      await until(() => heard.length);
      assert.equal(next.getClientId(), clientId);
      assert.equal(stored.size, 0);
    } finally {
      delete globalThis.sessionStorage;
    }
  });

  it("can shake hands again in the disconnect callback", async () => {
    const cometd = await make();
    await handshake(cometd);
    const first = cometd.getClientId();
    await step((done) => cometd.disconnect(() => cometd.handshake(done)));
    assert.equal(cometd.getStatus() != "disconnected", true);
    assert.notEqual(cometd.getClientId(), first);
    await step((done) => cometd.publish("/a", 1, done));
  });

  it("can be disconnected by any listener", async () => {
    for (const channel of ["/meta/handshake", "/meta/connect"]) {
      const cometd = await make();
      const gone = step((done) => cometd.addListener(channel, () => cometd.disconnect(done)));
      cometd.handshake();
      assert.equal((await gone).successful, true, channel);
      assert.equal(cometd.getStatus(), "disconnected");
      assert.equal(cometd.getClientId(), null);
    }
  });
});

/** Z85 of the official client, reached through its binary extension. */
const zeta = (bytes) => new official.BinaryExtension().outgoing({ channel: "/a", ext: { binary: {} }, data: { data: bytes } }).data.data;
