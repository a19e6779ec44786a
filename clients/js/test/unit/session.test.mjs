/* The conversation: what is written, in which order, and what happens when the far end disappoints. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { FakeServer, failure, record, refuse, settle } from "../support/fake.mjs";

const connects = (server) => server.on("/meta/connect");
const handshakes = (server) => server.on("/meta/handshake");

describe("the conversation", () => {
  it("shakes hands, asks once without being held, then is held", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await settle();
    assert.deepEqual(server.received, [
      {
        channel: "/meta/handshake",
        version: "1.0",
        supportedConnectionTypes: ["websocket"],
        ext: { ack: true, replay: true },
        id: "1",
        batch: 1,
      },
      { channel: "/meta/connect", clientId: "c1", connectionType: "websocket", advice: { timeout: 0 }, id: "2", batch: 2 },
      { channel: "/meta/connect", clientId: "c1", connectionType: "websocket", id: "3", batch: 3 },
    ]);
    assert.equal(client.state, "connected");
    assert.equal(client.clientId, "c1");
    assert.equal(client.transport, "websocket");
    assert.equal(client.url, "http://fake/bayeux");
    server.release();
    await settle();
    assert.equal(connects(server).length, 3);
    await client.disconnect();
    assert.deepEqual(server.received.at(-1), { channel: "/meta/disconnect", clientId: "c1", id: "5", batch: 5 });
    assert.ok(server.link.closed);
    assert.equal(client.clientId, undefined);
  });

  it("writes what belongs together in one request, after the handshake and before the first connect", async () => {
    const server = new FakeServer();
    const client = server.client();
    const connected = client.connect();
    client.subscribe("/a", () => {});
    client.publish("/a", 1);
    client.publish("/a", 2);
    await connected;
    assert.deepEqual(
      server.received.map(({ channel, batch }) => [channel, batch]),
      [
        ["/meta/handshake", 1],
        ["/meta/subscribe", 2],
        ["/a", 2],
        ["/a", 2],
        ["/meta/connect", 3],
      ].concat(connects(server).length > 1 ? [["/meta/connect", 4]] : []),
    );
    client.publish("/b", 1);
    client.publish("/c", 1);
    await settle();
    assert.equal(server.on("/b")[0].batch, server.on("/c")[0].batch);
    await client.disconnect();
  });

  it("splits a long queue into requests of a bounded number of messages", async () => {
    const server = new FakeServer();
    const client = server.client();
    const connected = client.connect();
    const published = Array.from({ length: 250 }, (_, index) => client.publish("/a", index));
    await connected;
    await Promise.all(published);
    const sizes = {};
    for (const { batch } of server.on("/a")) sizes[batch] = (sizes[batch] ?? 0) + 1;
    assert.deepEqual(Object.values(sizes), [100, 100, 50]);
    assert.deepEqual(server.on("/a").map(({ data }) => data), Array.from({ length: 250 }, (_, index) => index));
    await client.disconnect();
  });

  it("takes its first message for a subscription made before connecting", async () => {
    const server = new FakeServer();
    const client = server.client();
    const seen = [];
    const subscription = client.subscribe("/a/*", ({ channel, data }) => seen.push([channel, data]));
    await client.connect();
    await subscription.ready;
    server.link.push({ channel: "/a/b", data: 1 }, { channel: "/a/b/c", data: 2 }, { channel: "/a/d", data: null });
    assert.deepEqual(seen, [["/a/b", 1], ["/a/d", null]]);
    await client.disconnect();
  });

  it("says what a refusal says", async () => {
    const server = new FakeServer();
    server.answers["/a"] = (message) => refuse(message, "403:u1,/a:publish_denied");
    const client = server.client();
    await client.connect();
    const error = await client.publish("/a", 1).catch((error) => error);
    assert.equal(error.name, "BayeuxError");
    assert.equal(error.code, 403);
    assert.deepEqual(error.args, ["u1", "/a"]);
    assert.equal(error.text, "publish_denied");
    assert.equal(error.reply.channel, "/a");
    await client.disconnect();
  });

  it("does not take an event that carries the id of a pending publish for its reply", async () => {
    const server = new FakeServer();
    server.answers["/a"] = (message, link, standard) => [{ channel: "/a", id: message.id, data: "of somebody else" }, standard()];
    const client = server.client();
    const seen = [];
    client.subscribe("/a", ({ data }) => seen.push(data));
    await client.connect();
    await client.publish("/a", 1);
    assert.deepEqual(seen, ["of somebody else"]);
    await client.disconnect();
  });

  it("ignores what arrives over a link it has left", async () => {
    const server = new FakeServer();
    const client = server.client({ backoff: 0 });
    const seen = [];
    client.subscribe("/a", ({ data }) => seen.push(data));
    await client.connect();
    const old = server.link;
    old.break();
    await new Promise((resolve) => client.on("connected", resolve));
    old.push({ channel: "/a", data: "late" });
    old.break();
    assert.deepEqual(seen, []);
    assert.equal(client.state, "connected");
    await client.disconnect();
  });

  it("survives garbage from the server", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await settle();
    server.link.push({}, { channel: "/meta/connect", id: "999", successful: true }, { successful: false, error: "400::what" }, { channel: "/x" });
    await client.publish("/a", 1);
    await client.disconnect();
  });
});

describe("the end", () => {
  it("comes when the server says so in a connect reply", async () => {
    const server = new FakeServer();
    const client = server.client();
    const log = record(client);
    await client.connect();
    await settle();
    server.release({ advice: { reconnect: "none" } });
    await settle();
    assert.deepEqual(log, ["connecting", "connected", "disconnected"]);
    assert.equal(handshakes(server).length, 1);
    assert.ok(server.link.closed);
  });

  it("comes when the server sends a disconnect of its own", async () => {
    const server = new FakeServer();
    const client = server.client();
    let reason;
    client.on("disconnected", (event) => (reason = event.reason));
    await client.connect();
    server.link.push({ channel: "/meta/disconnect", successful: true });
    assert.equal(client.state, "disconnected");
    assert.equal(reason.text, "closed by the server");
    assert.equal(await failure(client.publish("/a", 1)), "not connected");
  });

  it("fails connect() when the handshake is refused for good", async () => {
    const server = new FakeServer();
    server.answers["/meta/handshake"] = (message) => refuse(message, "403:no:handshake_denied", { reconnect: "none" });
    const client = server.client();
    assert.equal(await failure(client.connect()), "403:no:handshake_denied");
    assert.equal(client.state, "disconnected");
  });

  it("fails what is under way when disconnecting, but not what the server has answered", async () => {
    const server = new FakeServer();
    server.answers["/silent"] = () => undefined;
    const client = server.client();
    await client.connect();
    const silent = failure(client.publish("/silent", 1));
    const fine = client.publish("/fine", 1);
    await client.disconnect();
    await fine;
    assert.equal(await silent, "disconnected");
    assert.equal(server.received.at(-1).channel, "/meta/disconnect");
  });

  it("waits for its goodbye, also when the connect that is overtaken by it finds the session gone", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await settle();
    server.answers["/meta/disconnect"] = () => undefined;
    let ended = false;
    const goodbye = client.disconnect().then(() => (ended = true));
    await settle();
    server.release({ successful: false, error: "402::session_unknown", advice: { reconnect: "handshake", interval: 0 } });
    await settle();
    assert.equal(ended, false);
    const [{ id, channel }] = server.on("/meta/disconnect");
    server.link.push({ id, channel, successful: true });
    await goodbye;
    assert.deepEqual(server.received.map(({ channel }) => channel).slice(-2), ["/meta/connect", "/meta/disconnect"]);
  });

  it("does not wait for a goodbye when told not to", async () => {
    const server = new FakeServer();
    server.answers["/meta/disconnect"] = () => undefined;
    const client = server.client();
    await client.connect();
    const abort = new AbortController();
    const done = client.disconnect({ signal: abort.signal });
    await settle();
    assert.equal(client.state, "disconnecting");
    abort.abort();
    await done;
    assert.equal(client.state, "disconnected");
  });

  it("can be followed by another connect, even before the goodbye is answered", async () => {
    const server = new FakeServer();
    const client = server.client();
    const seen = [];
    client.subscribe("/a", ({ data }) => seen.push(data));
    await client.connect();
    await client.disconnect();
    await client.connect();
    assert.equal(client.clientId, "c2");
    assert.equal(server.on("/meta/subscribe").length, 2);
    server.answers["/meta/disconnect"] = () => undefined;
    client.disconnect();
    await client.connect();
    await settle();
    assert.equal(client.state, "connected");
    assert.equal(client.clientId, "c3");
    server.link.push({ channel: "/a", data: 1 });
    assert.deepEqual(seen, [1]);
    delete server.answers["/meta/disconnect"];
    await client.disconnect();
    await settle();
    assert.equal(server.links.filter(({ closed }) => !closed).length, 0);
  });

  it("disconnect() without a connection, twice, or while connecting is harmless", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.disconnect();
    server.answers["/meta/handshake"] = () => undefined;
    const connecting = failure(client.connect());
    await settle();
    await Promise.all([client.disconnect(), client.disconnect()]);
    assert.equal(await connecting, "disconnected");
    assert.ok(server.link.closed);
    assert.equal(server.on("/meta/disconnect").length, 0);
  });

  it("comes by abort signal while connecting, and leaves nothing behind", async () => {
    const server = new FakeServer();
    server.answers["/meta/handshake"] = () => undefined;
    const client = server.client();
    const abort = new AbortController();
    const connecting = client.connect({ signal: abort.signal });
    await settle();
    abort.abort("enough");
    await assert.rejects(connecting, (error) => error === "enough");
    assert.equal(client.state, "disconnected");
    await assert.rejects(client.connect({ signal: AbortSignal.abort("before") }), (error) => error === "before");
    assert.equal(client.state, "disconnected");
  });
});

describe("time", () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    mock.method(Math, "random", () => 0.5);
  });
  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
  const tick = async (milliseconds) => {
    mock.timers.tick(milliseconds);
    await settle();
  };

  it("backs off with full jitter, doubling up to the maximum", async () => {
    const server = new FakeServer();
    server.opening = () => {
      throw new Error("refused");
    };
    const client = server.client();
    const attempts = mock.fn(server.opening);
    server.opening = attempts;
    client.connect().catch(() => {});
    await settle();
    // Half of min(30 000, 1 000 · 2ⁿ), because random() is one half.
    for (const wait of [1000, 2000, 4000, 8000, 15000, 15000]) {
      const before = attempts.mock.callCount();
      await tick(wait - 1);
      assert.equal(attempts.mock.callCount(), before, `not before ${wait} ms`);
      await tick(1);
      assert.equal(attempts.mock.callCount(), before + 1, `at ${wait} ms`);
    }
    await client.disconnect();
  });

  it("starts again from a short wait once a connect has been held", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await settle();
    server.release();
    await settle();
    server.link.break();
    await settle();
    assert.equal(client.state, "reconnecting");
    await tick(499);
    assert.equal(server.links.length, 1);
    await tick(1);
    assert.equal(server.links.length, 2);
    assert.equal(client.state, "connected");
    await client.disconnect();
  });

  it("keeps backing off from a server that accepts and then always breaks", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    const waits = [];
    for (let round = 0; round < 5; round++) {
      await settle();
      server.link.break();
      await settle();
      const before = server.links.length;
      let waited = 0;
      for (; server.links.length == before; waited += 100) await tick(100);
      waits.push(waited);
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 15000]);
    await client.disconnect();
  });

  it("goes back at once when the network comes back", async () => {
    const listeners = new Map();
    globalThis.addEventListener = (type, listener) => listeners.set(type, listener);
    globalThis.removeEventListener = (type, listener) => listeners.get(type) == listener && listeners.delete(type);
    try {
      const server = new FakeServer();
      const client = server.client();
      await client.connect();
      server.link.break();
      await settle();
      assert.equal(server.links.length, 1);
      listeners.get("online")();
      await settle();
      assert.equal(client.state, "connected");
      await client.disconnect();
      assert.equal(listeners.size, 0);
    } finally {
      delete globalThis.addEventListener;
      delete globalThis.removeEventListener;
    }
  });

  it("finds a dead link by the connect that is not answered in time", async () => {
    const server = new FakeServer();
    server.advice = { timeout: 45000, interval: 0, reconnect: "retry" };
    const client = server.client({ networkTimeout: 5000 });
    const log = record(client);
    await client.connect();
    await settle();
    await tick(49_999);
    assert.equal(client.state, "connected");
    await tick(1);
    assert.equal(client.state, "reconnecting");
    await tick(1000);
    assert.deepEqual(log, ["connecting", "connected", "reconnecting", "connected:resumed"]);
    await client.disconnect();
  });

  it("finds a dead link by the publish that is not answered in time", async () => {
    const server = new FakeServer();
    server.answers["/a"] = () => undefined;
    const client = server.client({ networkTimeout: 5000 });
    await client.connect();
    await settle();
    const lost = failure(client.publish("/a", 1));
    await settle();
    await tick(5000);
    assert.equal(await lost, "406::timeout");
    assert.equal(client.state, "reconnecting");
    await client.disconnect();
  });

  it("waits as long as the server advises between connects", async () => {
    const server = new FakeServer();
    server.advice = { timeout: 10000, interval: 2000, reconnect: "retry" };
    const client = server.client();
    await client.connect();
    await settle();
    assert.equal(connects(server).length, 1);
    await tick(1999);
    assert.equal(connects(server).length, 1);
    await tick(1);
    assert.equal(connects(server).length, 2);
    await client.disconnect();
  });

  it("times out a call with 406, whether or not it was accepted", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await settle();
    const call = failure(client.call("echo", 1, { timeout: 700 }));
    await settle();
    await tick(699);
    assert.equal(server.on("/service/echo").length, 1);
    await tick(1);
    assert.equal(await call, "406::timeout");
    assert.equal(client.state, "connected");
    await client.disconnect();
  });

  it("does not storm a server that always answers 402 to connects", async () => {
    const server = new FakeServer();
    server.answers["/meta/connect"] = (message) => refuse(message, "402::session_unknown", { reconnect: "handshake", interval: 0 });
    const client = server.client();
    client.connect().catch(() => {});
    for (let second = 0; second < 120; second++) await tick(1000);
    // One every 15 s in the end; 1, 2, 4, 8 s before.
    assert.ok(handshakes(server).length >= 9 && handshakes(server).length <= 13, `${handshakes(server).length} handshakes in two minutes`);
    await client.disconnect();
  });

  it("does not storm two servers that do not know each other's sessions", async () => {
    const server = new FakeServer();
    // The first connect reaches the node of the handshake, the next one the other node.
    server.answers["/meta/connect"] = (message, link, standard) =>
      message.advice ? standard() : refuse(message, "402::session_unknown", { reconnect: "handshake", interval: 0 });
    const client = server.client();
    await client.connect();
    for (let second = 0; second < 120; second++) await tick(1000);
    assert.ok(handshakes(server).length <= 13, `${handshakes(server).length} handshakes in two minutes`);
    await client.disconnect();
  });

  it("honours the interval that comes with a refusal", async () => {
    const server = new FakeServer();
    server.answers["/meta/handshake"] = (message) => refuse(message, "503::shutting_down", { reconnect: "handshake", interval: 20000 });
    const client = server.client();
    client.connect().catch(() => {});
    await settle();
    await tick(20_999);
    assert.equal(handshakes(server).length, 1);
    await tick(1);
    assert.equal(handshakes(server).length, 2);
    await client.disconnect();
  });
});
