/* The words of the API: iteration, abort signals, sharing of subscriptions, calls, events. */
import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { FakeServer, failure, record, refuse, settle } from "../support/fake.mjs";

const connected = async (options) => {
  const server = new FakeServer();
  const client = server.client({ backoff: 0, ...options });
  const log = record(client);
  await client.connect();
  await settle();
  return { server, client, log };
};
const unsubscribes = (server) => server.on("/meta/unsubscribe").map(({ subscription }) => subscription);

describe("iteration", () => {
  it("yields in order what came before and while reading, and unsubscribes when left", async () => {
    const { server, client } = await connected();
    const subscription = client.subscribe("/a");
    server.link.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    const seen = [];
    for await (const { data } of subscription) {
      seen.push(data);
      if (data == 2) setImmediate(() => server.link.push({ channel: "/a", data: 3 }));
      if (data == 3) break;
    }
    assert.deepEqual(seen, [1, 2, 3]);
    await settle();
    assert.deepEqual(unsubscribes(server), ["/a"]);
    await client.disconnect();
  });

  it("ends when the client disconnects, and fails when the server ended it", async () => {
    const one = await connected();
    const done = (async () => { for await (const _ of one.client.subscribe("/a")); return "ended"; })();
    await one.client.disconnect();
    assert.equal(await done, "ended");

    const two = await connected();
    const failed = failure((async () => { for await (const _ of two.client.subscribe("/a")); })());
    two.server.link.push({ channel: "/meta/disconnect", successful: true });
    assert.equal(await failed, "closed by the server");
  });

  it("fails when the server refuses the subscription", async () => {
    const { server, client } = await connected();
    server.answers["/meta/subscribe"] = (message) => refuse(message, "403::subscribe_denied");
    const subscription = client.subscribe("/secret");
    assert.equal(await failure((async () => { for await (const _ of subscription); })()), "403::subscribe_denied");
    assert.equal(await failure(subscription.ready), "403::subscribe_denied");
    assert.deepEqual(unsubscribes(server), [], "there is nothing to unsubscribe from");
    await client.disconnect();
  });

  it("ends with an error when nobody reads, or drops the oldest if told so", async () => {
    const { server, client } = await connected();
    const strict = client.subscribe("/a", { buffer: 2 });
    const loose = client.subscribe("/a", { buffer: 2, overflow: "drop" });
    server.link.push(...[1, 2, 3].map((data) => ({ channel: "/a", data })));
    const seen = [];
    assert.equal(await failure((async () => { for await (const { data } of strict) seen.push(data); })()), "buffer full");
    assert.deepEqual(seen, [1, 2]);
    for await (const { data } of loose) if (seen.push(data) == 4) break;
    assert.deepEqual(seen, [1, 2, 2, 3]);
    await client.disconnect();
  });

  it("ends by abort signal, with its reason", async () => {
    const { server, client } = await connected();
    const abort = new AbortController();
    const failed = (async () => { for await (const _ of client.subscribe("/a", { signal: abort.signal })); })();
    await settle();
    abort.abort("enough");
    await assert.rejects(failed, (error) => error === "enough");
    await settle();
    assert.deepEqual(unsubscribes(server), ["/a"]);
    assert.throws(() => client.subscribe("/b", { signal: AbortSignal.abort("before") }), (error) => error === "before");
    await client.disconnect();
  });

  it("goes on over a lost session", async () => {
    const { server, client } = await connected();
    const seen = [];
    const reading = (async () => { for await (const { data } of client.subscribe("/a")) if (seen.push(data) == 2) break; })();
    await settle();
    server.link.push({ channel: "/a", data: 1 });
    const known = server.sessions;
    server.answers["/meta/connect"] = (message, link, standard) =>
      message.clientId == "c" + known ? refuse(message, "402::session_unknown", { reconnect: "handshake", interval: 0 }) : standard();
    server.link.break();
    await new Promise((resolve) => client.on("connected", resolve));
    server.link.push({ channel: "/a", data: 2 });
    await reading;
    assert.deepEqual(seen, [1, 2]);
    await client.disconnect();
  });
});

describe("subscriptions", () => {
  it("share one on the wire, and the last one out ends it", async () => {
    const { server, client } = await connected();
    const seen = [];
    const one = client.subscribe("/a", ({ data }) => seen.push("one " + data));
    const two = client.subscribe("/a", ({ data }) => seen.push("two " + data));
    await Promise.all([one.ready, two.ready]);
    const three = client.subscribe("/a", ({ data }) => seen.push("three " + data));
    await three.ready;
    server.link.push({ channel: "/a", data: 1 });
    assert.deepEqual(seen, ["one 1", "two 1", "three 1"]);
    assert.equal(server.on("/meta/subscribe").length, 1);
    one.unsubscribe();
    two[Symbol.dispose]();
    two.unsubscribe();
    await settle();
    assert.deepEqual(unsubscribes(server), []);
    three.unsubscribe();
    await settle();
    assert.deepEqual(unsubscribes(server), ["/a"]);
    server.link.push({ channel: "/a", data: 2 });
    assert.equal(seen.length, 3);
    await client.disconnect();
  });

  it("keep the order of the program when left and made again", async () => {
    const { server, client } = await connected();
    client.subscribe("/a", () => {}).unsubscribe();
    client.subscribe("/a", () => {});
    client.publish("/a", 1);
    await settle();
    assert.deepEqual(
      server.received.filter(({ id }) => id > 3).map(({ channel }) => channel),
      ["/meta/subscribe", "/meta/unsubscribe", "/meta/subscribe", "/a"],
    );
    await client.disconnect();
  });

  it("may be made and ended while a message is handed out", async () => {
    const { server, client } = await connected();
    const seen = [];
    const once = client.subscribe("/a", ({ data }) => {
      seen.push("once " + data);
      once.unsubscribe();
      client.subscribe("/a", ({ data }) => seen.push("then " + data));
    });
    await once.ready;
    server.link.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    assert.deepEqual(seen, ["once 1", "then 2"]);
    await client.disconnect();
  });

  it("that throw stop neither the others nor the client", async () => {
    const { server, client, log } = await connected();
    const seen = [];
    client.subscribe("/a", () => { throw new Error("mine"); });
    client.subscribe("/a", ({ data }) => seen.push(data));
    await settle();
    server.link.push({ channel: "/a", data: 1 }, { channel: "/a", data: 2 });
    assert.deepEqual(seen, [1, 2]);
    assert.deepEqual(log.at(-1), { error: "Error: mine", channel: "/a" });
    assert.equal(client.state, "connected");
    await client.disconnect();
  });

  it("carry more fields when asked", async () => {
    const { server, client } = await connected();
    client.subscribe("/a", () => {}, { fields: { ext: { why: 1 } } });
    await client.publish("/a", 1, { fields: { ext: { trace: 2 } } });
    assert.deepEqual(server.on("/meta/subscribe")[0].ext, { why: 1 });
    assert.deepEqual(server.on("/a")[0].ext, { trace: 2 });
    await client.disconnect();
  });
});

describe("publishing", () => {
  it("can be given up, written or not", async () => {
    const { server, client } = await connected();
    server.answers["/silent"] = () => undefined;
    const abort = new AbortController();
    const written = client.publish("/silent", 1, { signal: abort.signal });
    await settle();
    const unwritten = client.publish("/never", 1, { signal: abort.signal });
    abort.abort("enough");
    await assert.rejects(written, (error) => error === "enough");
    await assert.rejects(unwritten, (error) => error === "enough");
    await assert.rejects(client.publish("/never", 1, { signal: abort.signal }), (error) => error === "enough");
    await settle();
    assert.equal(server.on("/never").length, 0);
    await client.disconnect();
  });

  it("fails what cannot be written, and nothing else", async () => {
    const { client } = await connected();
    const circle = {};
    circle.circle = circle;
    const bad = failure(client.publish("/a", circle));
    await client.publish("/a", "fine");
    assert.equal((await bad).name, "TypeError");
    assert.equal((await failure(client.call("echo", 1n))).name, "TypeError");
    await client.disconnect();
  });

  it("leaves no listener on a long-lived signal", async () => {
    const { client } = await connected();
    const { signal } = new AbortController();
    const added = mock.method(signal, "addEventListener");
    const removed = mock.method(signal, "removeEventListener");
    await client.publish("/a", 1, { signal });
    await client.connect({ signal });
    const subscription = client.subscribe("/a", () => {}, { signal });
    await subscription.ready;
    subscription.unsubscribe();
    assert.equal(added.mock.callCount(), 2);
    assert.equal(removed.mock.callCount(), 2);
    await client.disconnect({ signal });
    assert.equal(removed.mock.callCount(), added.mock.callCount());
  });

  it("fails without a connection, and nothing is kept", async () => {
    const client = new FakeServer().client();
    assert.equal(await failure(client.publish("/a", 1)), "not connected");
    assert.equal(await failure(client.call("echo", 1)), "not connected");
  });
});

describe("calls", () => {
  it("resolve with the answer, before or after the reply", async () => {
    const { server, client } = await connected();
    server.answers["/service/echo"] = ({ channel, id, data }, link, standard) => {
      const answer = { channel, id, data: data + "!", successful: true };
      return data == "first" ? [answer, standard()] : [standard(), answer];
    };
    assert.equal(await client.call("echo", "first"), "first!");
    assert.equal(await client.call("/service/echo", "second"), "second!");
    await client.disconnect();
  });

  it("fail with the server's refusal or failed answer", async () => {
    const { server, client } = await connected();
    server.answers["/service/denied"] = (message) => refuse(message, "403::denied");
    server.answers["/service/failed"] = ({ channel, id }, link, standard) => [
      standard(),
      { channel, id, successful: false, error: "408::timeout", data: null },
    ];
    assert.equal(await failure(client.call("denied", 1)), "403::denied");
    assert.equal(await failure(client.call("failed", 1)), "408::timeout");
    await client.disconnect();
  });

  it("can be given up", async () => {
    const { client } = await connected();
    const abort = new AbortController();
    const call = client.call("never", 1, { signal: abort.signal });
    await settle();
    abort.abort("enough");
    await assert.rejects(call, (error) => error === "enough");
    await client.disconnect();
  });
});

describe("events", () => {
  it("come as `state` and under the state's own name, until unlistened", async () => {
    const { server, client } = await connected();
    const names = [];
    const off = client.on("state", ({ state, previous }) => names.push(`${previous}>${state}`));
    client.on("reconnecting", () => names.push("by name"));
    server.link.break();
    await new Promise((resolve) => client.on("connected", resolve));
    assert.deepEqual(names, ["connected>reconnecting", "by name", "reconnecting>connected"]);
    off();
    await client.disconnect();
    assert.equal(names.length, 3);
  });

  it("go to the console when an error has no listener, or a listener throws", async () => {
    const errors = mock.method(console, "error", () => {});
    try {
      const server = new FakeServer();
      const client = server.client();
      client.on("connected", () => { throw new Error("mine"); });
      client.subscribe("/a", () => { throw new Error("yours"); });
      await client.connect();
      await settle();
      server.link.push({ channel: "/a", data: 1 });
      assert.deepEqual(errors.mock.calls.map(({ arguments: [what] }) => String(what.error ?? what)), ["Error: mine", "Error: yours"]);
      await client.disconnect();
    } finally {
      errors.mock.restore();
    }
  });

  it("work with `await using`", async () => {
    const server = new FakeServer();
    const client = server.client();
    await client.connect();
    await client[Symbol.asyncDispose]();
    assert.equal(client.state, "disconnected");
  });
});
