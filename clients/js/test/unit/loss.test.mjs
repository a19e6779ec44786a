/* Losses: of links, of sessions, of places in the stream; and what the application is told about each. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { FakeServer, failure, record, refuse, settle, until } from "../support/fake.mjs";

const subscribes = (server) => server.on("/meta/subscribe").map(({ subscription, ext }) => ext?.replay ?? subscription);
const stale = (message) => refuse(message, "402::session_unknown", { reconnect: "handshake", interval: 0 });

/** Breaks the link and waits until the client is back. */
const loseLink = async (server, client) => {
  const back = new Promise((resolve) => {
    const off = client.on("connected", (event) => (off(), resolve(event)));
  });
  server.link.break();
  return back;
};

/** Makes the next connect fail with 402, as after a restart that forgot everything. */
const loseSession = (server) => {
  let known = server.sessions;
  const answer = (message, link, standard) => (message.clientId == "c" + known ? stale(message) : standard());
  Object.assign(server.answers, { "/meta/connect": answer, "/meta/subscribe": answer, "/a": answer });
};

const connected = async (options, prepare = () => {}) => {
  const server = new FakeServer();
  prepare(server);
  const client = server.client({ backoff: 0, ...options });
  const log = record(client);
  await client.connect();
  await settle();
  return { server, client, log };
};

describe("a lost link", () => {
  it("is replaced without a new session, and without subscribing again", async () => {
    const { server, client, log } = await connected();
    const { ready } = client.subscribe("/a", () => {});
    await ready;
    const event = await loseLink(server, client);
    assert.equal(event.resumed, true);
    assert.deepEqual(log, ["connecting", "connected", "reconnecting", "connected:resumed"]);
    assert.equal(server.sessions, 1);
    assert.deepEqual(subscribes(server), ["/a"]);
    assert.deepEqual(server.on("/meta/connect").at(-2).advice, { timeout: 0 });
    await client.disconnect();
  });

  it("gives the reason", async () => {
    const { server, client } = await connected();
    const reconnecting = new Promise((resolve) => client.on("reconnecting", resolve));
    server.link.break("cable pulled");
    const { reason, previous } = await reconnecting;
    assert.deepEqual([reason.code, reason.text, previous], [0, "cable pulled", "connected"]);
    await client.disconnect();
  });

  it("fails a publish that was written, since nobody knows whether it arrived", async () => {
    const { server, client } = await connected(undefined, (server) => (server.answers["/a"] = () => undefined));
    const lost = failure(client.publish("/a", 1));
    await settle();
    server.link.break("cut");
    assert.equal(await lost, "cut");
    await client.disconnect();
  });

  it("writes it again when that is allowed, in the order of the program", async () => {
    const { server, client } = await connected();
    let silent = true;
    server.answers["*"] = (message, link, standard) => (silent && message.data ? undefined : standard());
    const first = client.publish("/a", 1, { attempts: 2 });
    await settle();
    server.link.break();
    silent = false;
    const second = client.publish("/a", 2);
    await Promise.all([first, second]);
    assert.deepEqual(server.on("/a").map(({ data }) => data), [1, 1, 2]);
    await client.disconnect();
  });

  it("gives a publish that may be written again a key of its own, and the same each time", async () => {
    const { server, client } = await connected();
    let lost = false;
    server.answers["/a"] = (message, link, standard) => ((lost = !lost) ? void link.break() : standard());
    await client.publish("/a", 1, { attempts: 2 });
    await client.publish("/a", 2, { attempts: 2, fields: { ext: { mine: 1 } } });
    await client.publish("/a", 3, { attempts: 2, fields: { ext: { idempotency: "mine" } } });
    server.answers["/a"] = undefined;
    await client.publish("/a", 4);
    const sent = server.on("/a");
    assert.deepEqual(sent.map(({ data }) => data), [1, 1, 2, 2, 3, 3, 4]);
    const keys = sent.map(({ ext }) => ext?.idempotency);
    assert.deepEqual([keys[0] == keys[1], keys[2] == keys[3], keys[0] != keys[2]], [true, true, true]);
    assert.ok(keys[0].length < 256 && sent[2].ext.mine == 1);
    assert.deepEqual(keys.slice(4), ["mine", "mine", undefined]);
    await client.disconnect();
  });

  it("keeps what was not written yet", async () => {
    const { server, client } = await connected();
    server.link.break();
    const published = client.publish("/a", 1);
    await settle();
    await published;
    assert.equal(server.on("/a").length, 1);
    await client.disconnect();
  });

  it("writes nothing of the application's into a link that has not proved to work", async () => {
    const { server, client } = await connected({ backoff: 0 });
    server.answers["/meta/connect"] = () => undefined;
    server.link.break();
    const published = client.publish("/a", 1);
    await until(() => server.on("/meta/connect").length == 3);
    await settle();
    assert.equal(server.on("/a").length, 0);
    delete server.answers["/meta/connect"];
    server.link.break();
    await published;
    await client.disconnect();
  });

  it("repeats a subscribe whose reply was lost", async () => {
    const { server, client } = await connected();
    server.answers["/meta/subscribe"] = () => undefined;
    const { ready } = client.subscribe("/a", () => {});
    await settle();
    delete server.answers["/meta/subscribe"];
    await loseLink(server, client);
    await ready;
    assert.deepEqual(subscribes(server), ["/a", "/a"]);
    await client.disconnect();
  });

  it("lets an accepted call wait for its answer, and fails one that was not", async () => {
    const { server, client } = await connected();
    const call = client.call("echo", "x");
    await settle();
    const [{ id }] = server.on("/service/echo");
    server.answers["/service/lost"] = () => undefined;
    const lost = failure(client.call("lost", "x"));
    await settle();
    await loseLink(server, client);
    server.link.push({ channel: "/service/echo", id, data: "X" });
    assert.equal(await call, "X");
    assert.equal(await lost, "cut");
    await client.disconnect();
  });
});

describe("a lost session", () => {
  it("is replaced, and every subscription made again, before what waits to be published", async () => {
    const { server, client, log } = await connected();
    const seen = [];
    client.subscribe("/a", ({ data }) => seen.push(data));
    await client.subscribe("/b/*", () => {}).ready;
    loseSession(server);
    server.link.break();
    const published = client.publish("/c", 1);
    await published;
    await settle();
    assert.equal(client.clientId, "c2");
    assert.deepEqual(log, ["connecting", "connected", "reconnecting", "reconnecting", "connected"]);
    assert.deepEqual(
      server.received.filter(({ clientId }) => clientId == "c2").slice(0, 3).map(({ channel, subscription }) => subscription ?? channel),
      ["/a", "/b/*", "/c"],
    );
    server.link.push({ channel: "/a", data: 1 });
    assert.deepEqual(seen, [1]);
    await client.disconnect();
  });

  it("is noticed by a refused publish too, which is sent again: it was not accepted", async () => {
    const { server, client } = await connected();
    loseSession(server);
    await client.publish("/a", 1);
    assert.deepEqual(server.on("/a").map(({ clientId }) => clientId), ["c1", "c2"]);
    assert.equal(server.links.length, 1, "over the same link");
    await client.disconnect();
  });

  it("is noticed by a refused subscribe too", async () => {
    const { server, client } = await connected();
    loseSession(server);
    await client.subscribe("/x", () => {}).ready;
    assert.equal(server.sessions, 2);
    await client.disconnect();
  });

  it("understands Faye's way to say it", async () => {
    const { server, client } = await connected();
    server.answers["/meta/connect"] = (message, link, standard) =>
      message.clientId == "c1" ? refuse(message, "401:c1:Unknown client", { reconnect: "handshake", interval: 0, timeout: 60000 }) : standard();
    await loseLink(server, client);
    assert.equal(client.clientId, "c2");
    await client.disconnect();
  });

  it("does not make a publish wait for ever for a session that lasts", async () => {
    const { server, client } = await connected();
    server.answers["/a"] = stale;
    assert.equal(await failure(client.publish("/a", 1)), "402::session_unknown");
    assert.ok(server.on("/a").length < 10);
    await client.disconnect();
  });

  it("reports a subscription that is refused this time", async () => {
    const { server, client, log } = await connected();
    const subscription = client.subscribe("/secret");
    await subscription.ready;
    const ended = failure((async () => { for await (const _ of subscription); })());
    loseSession(server);
    server.answers["/meta/subscribe"] = (message) => refuse(message, "403::subscribe_denied");
    await loseLink(server, client);
    await until(() => log.find((entry) => entry.error));
    assert.deepEqual(log.find((entry) => entry.error), { error: "BayeuxError: 403::subscribe_denied", channel: "/secret" });
    assert.equal(await ended, "403::subscribe_denied");
    await client.disconnect();
  });
});

describe("acknowledgement", () => {
  it("starts with 0, or with the batch of the handshake, and repeats the last number", async () => {
    const { server, client } = await connected(undefined, (server) => (server.ext = { ack: true }));
    assert.deepEqual(server.on("/meta/connect").map(({ ext }) => ext), [{ ack: 0 }, { ack: 0 }]);
    server.release({ ext: { ack: 17 } });
    await settle();
    await loseLink(server, client);
    await settle();
    assert.deepEqual(server.on("/meta/connect").map(({ ext }) => ext.ack), [0, 0, 17, 17, 17]);
    await client.disconnect();
    const other = await connected(undefined, (server) => (server.ext = { ack: { enabled: true, batch: 1 } }));
    assert.equal(other.server.on("/meta/connect")[0].ext.ack, 1);
    await other.client.disconnect();
  });

  it("is not sent when it was not granted or not wanted", async () => {
    const { server, client } = await connected();
    assert.equal(server.on("/meta/connect")[0].ext, undefined);
    await client.disconnect();
    const other = await connected({ ack: false, replay: false });
    assert.deepEqual(other.server.on("/meta/handshake")[0].ext, { ack: false, replay: false });
    await other.client.disconnect();
  });
});

describe("replay", () => {
  const grant = (server) => (server.ext = { replay: true });
  const event = (id, channel = "/a") => ({ channel, data: id, ext: { replay: { id } } });

  it("starts where the application asks", async () => {
    const { server, client } = await connected(undefined, grant);
    client.subscribe("/all", () => {}, { replay: -2 });
    client.subscribe("/from", () => {}, { replay: 41 });
    client.subscribe("/now", () => {});
    await settle();
    assert.deepEqual(subscribes(server), [{ "/all": -2 }, { "/from": 41 }, "/now"]);
    await client.disconnect();
  });

  it("says nothing about positions to a server that has none", async () => {
    const { server, client } = await connected();
    client.subscribe("/all", () => {}, { replay: -2 });
    await settle();
    assert.deepEqual(subscribes(server), ["/all"]);
    await client.disconnect();
  });

  it("goes on after a lost session from the last message seen, and drops what comes twice", async () => {
    const { server, client } = await connected(undefined, grant);
    const seen = [];
    await client.subscribe("/a", ({ data }) => seen.push(data)).ready;
    server.link.push(event(5), event(7), event(7), event(6));
    loseSession(server);
    await loseLink(server, client);
    assert.deepEqual(subscribes(server).at(-1), { "/a": 7 });
    server.link.push(event(7), event(8));
    assert.deepEqual(seen, [5, 7, 8]);
    await client.disconnect();
  });

  it("knows by the messages of other channels how far an idle subscription has come", async () => {
    const { server, client } = await connected(undefined, grant);
    await client.subscribe("/idle", () => {}).ready;
    await client.subscribe("/a", () => {}).ready;
    server.link.push(event(5), event(9));
    loseSession(server);
    await loseLink(server, client);
    assert.deepEqual(subscribes(server).slice(-2), [{ "/idle": 9 }, { "/a": 9 }]);
    await client.disconnect();
  });

  it("does not conclude that from Salesforce's ids, which count within a channel", async () => {
    const { server, client } = await connected(undefined, grant);
    const seen = [];
    await client.subscribe("/idle", () => {}).ready;
    await client.subscribe("/a", ({ data }) => seen.push(data.event.replayId)).ready;
    const salesforce = (replayId) => ({ channel: "/a", data: { event: { replayId } } });
    server.link.push(salesforce(3), salesforce(3), salesforce(4));
    loseSession(server);
    await loseLink(server, client);
    assert.deepEqual(subscribes(server).slice(-2), ["/idle", { "/a": 4 }]);
    assert.deepEqual(seen, [3, 4]);
    await client.disconnect();
  });

  it("does not let others' messages skip a replay that has not begun", async () => {
    const { server, client } = await connected(undefined, grant);
    const seen = [];
    await client.subscribe("/a", () => {}).ready;
    await client.subscribe("/old", ({ data }) => seen.push(data), { replay: -2 }).ready;
    server.link.push(event(100, "/a"), event(1, "/old"), event(2, "/old"), event(101, "/a"));
    assert.deepEqual(seen, [1, 2]);
    loseSession(server);
    await loseLink(server, client);
    assert.deepEqual(subscribes(server).slice(-2), [{ "/a": 101 }, { "/old": 101 }]);
    await client.disconnect();
  });

  it("gives a second subscription its own past, and the first one nothing twice", async () => {
    const { server, client } = await connected(undefined, grant);
    const first = [];
    const second = [];
    await client.subscribe("/a", ({ data }) => first.push(data)).ready;
    server.link.push(event(1), event(2));
    const late = client.subscribe("/a", ({ data }) => second.push(data), { replay: -2 });
    await late.ready;
    server.link.push(event(1), event(2), event(3));
    assert.deepEqual([first, second], [[1, 2, 3], [1, 2, 3]]);
    assert.deepEqual(subscribes(server), ["/a", { "/a": -2 }]);
    // To a server that has the channel already, a subscribe alone says nothing.
    assert.deepEqual(server.on("/meta/unsubscribe").map(({ subscription }) => subscription), ["/a"]);
    await client.disconnect();
  });

  it("reports a gap when the server has forgotten the position, and takes all it still has", async () => {
    const { server, client, log } = await connected(undefined, grant);
    const seen = [];
    await client.subscribe("/a", ({ data }) => seen.push(data)).ready;
    server.link.push(event(50));
    loseSession(server);
    server.answers["/meta/subscribe"] = (message, link, standard) =>
      message.ext.replay["/a"] == 50
        ? refuse(message, "400::The replayId {50} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.")
        : standard();
    await loseLink(server, client);
    await settle();
    assert.deepEqual(subscribes(server).slice(-2), [{ "/a": 50 }, { "/a": -2 }]);
    const { gap } = log.find((entry) => entry.gap);
    assert.deepEqual([gap.channel, gap.since, gap.detail.code], ["/a", 50, 400]);
    // A server that began anew may even count from less.
    server.link.push(event(3), event(4));
    assert.deepEqual(seen, [50, 3, 4]);
    await client.disconnect();
  });

  it("reports the gap that comes with the end of the session, and none that a publisher has made up", async () => {
    const { server, client, log } = await connected(undefined, grant);
    await client.subscribe("/a", () => {}).ready;
    server.link.push({ channel: "/a", data: 1, ext: { gap: [1, 2] } });
    server.release({ successful: false, error: "402::session_unknown", advice: { reconnect: "handshake", interval: 0 }, ext: { gap: [3, 4] } });
    await until(() => server.sessions == 2 && client.state == "connected");
    assert.deepEqual(log.filter((entry) => entry.gap), [{ gap: { detail: [3, 4] } }]);
    await client.disconnect();
  });

  it("reports the gap that the server tells in a connect reply", async () => {
    const { server, client, log } = await connected(undefined, grant);
    server.release({ ext: { gap: [10, 20] } });
    await settle();
    assert.deepEqual(log.at(-1), { gap: { detail: [10, 20] } });
    await client.disconnect();
  });
});

describe("credentials", () => {
  it("are asked for before each handshake, and once more after a refusal", async () => {
    const server = new FakeServer();
    const tokens = ["old", "fresh", "later"];
    const asked = [];
    server.answers["/meta/handshake"] = (message, link, standard) =>
      message.ext.token == "old" ? refuse(message, "401::token_expired", { reconnect: "none" }) : standard();
    const client = server.client({ backoff: 0, token: async (refused) => (asked.push(refused?.code), tokens.shift()) });
    await client.connect();
    assert.deepEqual(asked, [undefined, 401]);
    assert.deepEqual(server.on("/meta/handshake").map(({ ext }) => ext.token), ["old", "fresh"]);
    await settle();
    // The server ends the session because the token has expired.
    server.release({ successful: false, error: "403::token_expired", advice: { reconnect: "handshake", interval: 0 } });
    await until(() => asked.length == 3 && client.state == "connected");
    assert.deepEqual(asked, [undefined, 401, 403]);
    await client.disconnect();
  });

  it("that are refused twice end the client", async () => {
    const server = new FakeServer();
    server.answers["/meta/handshake"] = (message) => refuse(message, "401::denied", { reconnect: "none" });
    const token = mock.fn(() => "bad");
    const client = server.client({ token });
    assert.equal(await failure(client.connect()), "401::denied");
    assert.equal(token.mock.callCount(), 2);
  });

  it("that cannot be fetched are tried again later", async () => {
    const server = new FakeServer();
    let calls = 0;
    const client = server.client({ backoff: 0, token: async () => { if (++calls < 3) throw new Error("offline"); return "t"; } });
    await client.connect();
    assert.equal(calls, 3);
    await client.disconnect();
  });
});

describe("several ways", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
  afterEach(() => mock.timers.reset());

  const pass = async (milliseconds) => {
    await settle();
    for (const step of [milliseconds, 0, 0, 0]) {
      mock.timers.tick(step);
      await settle();
    }
  };

  const twoWays = () => {
    const server = new FakeServer();
    return { server, transports: [server.transport("websocket"), server.transport("long-polling")] };
  };

  it("falls back to the next transport at once, with the same session", async () => {
    const { server, transports } = twoWays();
    const client = server.client({ transports });
    await client.connect();
    await settle();
    server.release();
    await settle();
    server.opening = (host, type) => {
      if (type == "websocket") throw new Error("blocked");
    };
    server.link.break();
    await pass(1000);
    assert.equal(client.state, "connected");
    assert.equal(client.transport, "long-polling");
    assert.equal(server.on("/meta/connect").at(-1).connectionType, "long-polling");
    assert.equal(server.sessions, 1);
    await client.disconnect();
  });

  it("falls back at once when the first never opens", async () => {
    const { server, transports } = twoWays();
    server.opening = (host, type) => type == "websocket" && queueMicrotask(() => host.fail("blocked"));
    const client = server.client({ transports });
    const connected = client.connect();
    await pass(0);
    await connected;
    assert.equal(client.transport, "long-polling");
    await client.disconnect();
  });

  it("goes through all URLs, each with all transports", async () => {
    const { server, transports } = twoWays();
    const tried = [];
    server.opening = (host, type) => {
      tried.push(`${new URL(host.url).host} ${type}`);
      throw new Error("down");
    };
    const client = server.client({ transports }, ["http://one/bayeux", "http://two/bayeux"]);
    client.connect().catch(() => {});
    await pass(0);
    assert.deepEqual(tried, ["one websocket", "one long-polling", "two websocket", "two long-polling"]);
    server.opening = () => {};
    await pass(30_000);
    assert.equal(client.url, "http://one/bayeux");
    server.release();
    await settle();
    server.opening = ({ url }) => {
      if (url.includes("one")) throw new Error("down");
    };
    server.link.break();
    await pass(1000);
    assert.equal(client.url, "http://two/bayeux");
    assert.equal(client.state, "connected");
    await client.disconnect();
  });
});
