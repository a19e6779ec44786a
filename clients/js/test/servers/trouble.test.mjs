/*
 * bayeuxd on a bad day: connections cut in the middle, WebSockets blocked for a while, the broker killed and started
 * again, readers too slow for the log, credentials refused. What must hold is what the README says about each.
 * Replay a failure with SEED=n.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, longPolling, websocket } from "@bayeuxd/client";
import { CometD } from "@bayeuxd/client/compat/cometd";
import WebSocket from "ws";
import { dice, failure, record, until } from "../support/fake.mjs";
import { Proxy } from "../support/proxy.mjs";
import { KINDS, Server } from "../support/servers.mjs";

const SEED = +(process.env.SEED ?? 1);
const MESSAGES = 30;
const make = { websocket: () => websocket({ WebSocket }), "long-polling": () => longPolling({ upgradeInterval: 50 }) };
const WAYS = { websocket: ["websocket"], "long-polling": ["long-polling"], both: ["websocket", "long-polling"] };
const numbers = (count, from = 0) => Array.from({ length: count }, (_, n) => from + n);

const clients = [];
const open = async (url, ways = ["websocket"], options = {}) => {
  const client = new Client(url, { transports: ways.map((way) => make[way]()), backoff: 10, backoffMax: 100, ...options });
  clients.push(client);
  await client.connect();
  return client;
};
after(() => Promise.all(clients.map((client) => client.disconnect({ signal: AbortSignal.timeout(1000) }))));

if (KINDS.bayeuxd) {
  for (const [name, ways] of Object.entries(WAYS)) {
    describe(`a bad network, ${name}`, () => {
      let server, proxy;
      before(async () => {
        server = await Server.start("bayeuxd");
        proxy = await Proxy.start(server);
      });
      after(() => Promise.all([server.stop(), proxy.stop()]));

      it(`loses nothing and doubles nothing, while everything is cut again and again (SEED=${SEED})`, async () => {
        const chance = dice(SEED);
        const writer = await open(proxy.url, ways);
        const reader = await open(proxy.url, ways);
        const heard = [];
        let losses = 0;
        reader.on("reconnecting", () => losses++);
        await reader.subscribe("/trouble/*", ({ data }) => heard.push(data)).ready;
        // A subscription has a place in the log from the first message on.
        await writer.publish("/trouble/a", 0);
        await until(() => heard.length);
        const { clientId } = reader;
        const used = new Set();
        for (let n = 1; n < MESSAGES; n++) {
          proxy.withoutWebSockets = ways.length > 1 && chance() < 0.3;
          const published = writer.publish("/trouble/a", n, { attempts: Infinity });
          if (chance() < 0.4) setImmediate(() => proxy.cut());
          await published;
          used.add(reader.transport);
        }
        proxy.withoutWebSockets = false;
        await until(() => heard.includes(MESSAGES - 1), () => `only ${heard.length} arrived, the reader is ${reader.state}`);
        assert.deepEqual(heard, numbers(MESSAGES));
        assert.ok(losses > 3, `there was trouble: ${losses} losses`);
        assert.equal(reader.clientId, clientId, "with acknowledgement the session goes on");
        assert.deepEqual([...used].sort(), [...ways].sort());
      });

      it("is told to wait by a network that refuses everything, and comes back by itself", async () => {
        const reader = await open(proxy.url, ways);
        const heard = [];
        await reader.subscribe("/away/a", ({ data }) => heard.push(data)).ready;
        const writer = await open(server.url, ways);
        await writer.publish("/away/a", 0);
        await until(() => heard.length);
        const reasons = [];
        reader.on("reconnecting", ({ reason }) => reasons.push(reason.name));
        proxy.refusing = true;
        proxy.cut();
        await until(() => reasons.length > 3);
        for (const n of numbers(20, 1)) await writer.publish("/away/a", n);
        proxy.refusing = false;
        await until(() => heard.length > 20);
        assert.deepEqual(heard, numbers(21));
        assert.ok(reasons.every((name) => name == "BayeuxError"));
      });
    });

    it(`a killed broker, ${name}: nothing twice, the order kept, and what is missing is told`, async (t) => {
      const server = await Server.start("bayeuxd");
      t.after(() => server.stop());
      const writer = await open(server.url, ways);
      const reader = await open(server.url, ways);
      const gaps = [];
      reader.on("gap", (gap) => gaps.push(gap));
      const heard = [];
      await reader.subscribe("/killed/a", ({ data }) => heard.push(data)).ready;
      let n = 0;
      for (let round = 0; round < 3; round++) {
        for (let count = 0; count < 10; count++) await writer.publish("/killed/a", n++, { attempts: Infinity });
        await until(() => heard.includes(n - 1));
        // Under way when it dies: they may arrive before, after, or not at all, but then there is a gap.
        const underWay = numbers(5).map(() => writer.publish("/killed/a", n++, { attempts: Infinity }));
        await server.kill();
        await server.start();
        await Promise.all(underWay);
        await until(() => reader.state == "connected" && gaps.length > round);
      }
      await writer.publish("/killed/a", n, { attempts: Infinity });
      await until(() => heard.includes(n));
      assert.deepEqual(heard, [...new Set(heard)].sort((a, b) => a - b), "each once, in order");
      assert.ok(gaps.every(({ channel, since }) => channel == "/killed/a" && since > 0));
    });
  }

  describe("a session that has expired while the client was away", () => {
    let server, proxy, writer;
    before(async () => {
      server = await Server.start("bayeuxd", '[broker]\nmax_interval = "2s"\nsweep_period = "100ms"\n');
      proxy = await Proxy.start(server);
      writer = await open(server.url);
    });
    after(() => Promise.all([server.stop(), proxy.stop()]));

    /** Publishes 0 to 3 while the session is there, is lost, and is no more. */
    const goAway = async (channel, heard, clientId) => {
      await writer.publish(channel, 0, { attempts: Infinity });
      await until(() => heard.length);
      proxy.refusing = true;
      proxy.cut();
      await writer.publish(channel, 1, { attempts: Infinity });
      for (let known = true; known; ) known = (await fetch(new URL(`/api/v1/sessions/${clientId}`, server.url))).ok;
      await writer.publish(channel, 2, { attempts: Infinity });
      proxy.refusing = false;
      await writer.publish(channel, 3, { attempts: Infinity });
      await until(() => heard.includes(3));
      assert.deepEqual(heard, numbers(4));
    };

    it("is replaced by one that goes on where the other was", async () => {
      const reader = await open(proxy.url);
      const { clientId } = reader;
      const heard = [];
      await reader.subscribe("/expired/a", ({ data }) => heard.push(data)).ready;
      await goAway("/expired/a", heard, clientId);
      assert.notEqual(reader.clientId, clientId);
    });

    it("costs a CometD application that subscribes again nothing either", async () => {
      const cometd = new CometD();
      cometd.configure({ url: proxy.url, WebSocket, logLevel: "error", backoffIncrement: 10, maxBackoff: 100 });
      const heard = [];
      const subscribed = new Promise((resolve) => {
        cometd.addListener("/meta/handshake", ({ successful }) => successful && cometd.subscribe("/expired/b", ({ data }) => heard.push(data), resolve));
      });
      cometd.handshake();
      await subscribed;
      await goAway("/expired/b", heard, cometd.getClientId());
      await new Promise((resolve) => cometd.disconnect(resolve));
    });
  });

  describe("a reader that is too slow for the log", () => {
    const SMALL = `
[engine.memory]
max_messages = 50
`;
    for (const onGap of ["signal", "rehandshake"]) {
      it(`is told which positions it will not get, with on_gap = "${onGap}"`, async (t) => {
        const server = await Server.start("bayeuxd", `[broker]\nmax_queue = 10\non_gap = "${onGap}"\n${SMALL}`);
        const proxy = await Proxy.start(server);
        t.after(() => Promise.all([server.stop(), proxy.stop()]));
        const writer = await open(server.url);
        const reader = await open(proxy.url, ["long-polling"]);
        const heard = [];
        const gaps = [];
        reader.on("gap", ({ detail }) => gaps.push(detail));
        await reader.subscribe("/slow/a", ({ data, ext }) => heard.push([ext.replay.id, data])).ready;
        await writer.publish("/slow/a", 0);
        await until(() => heard.length == 1);
        proxy.pause();
        for (const n of numbers(120, 1)) await writer.publish("/slow/a", n);
        proxy.resume();
        await until(() => gaps.length && heard.at(-1)[1] == 120, () => JSON.stringify([gaps, heard.at(-1), reader.state]));
        const positions = heard.map(([position]) => position);
        assert.deepEqual(positions, [...new Set(positions)].sort((a, b) => a - b), "each once, in order");
        const { first, last } = gaps.find((gap) => gap.first);
        assert.ok(positions.every((position) => position < first || position > last), "what is told to be lost did not come");
        assert.ok(heard.length < 120);
      });
    }
  });

  describe("two brokers", () => {
    let one, two;
    before(async () => ([one, two] = [await Server.start("bayeuxd"), await Server.start("bayeuxd")]));
    after(() => Promise.all([one.stop(), two.stop()]));

    for (const [name, ways] of Object.entries(WAYS)) {
      it(`when one is killed the other is used, with all subscriptions, and back again (${name})`, async () => {
        const client = await open([one.url, two.url], ways);
        const heard = [];
        client.subscribe("/fail-over/*", ({ data }) => heard.push(data));
        for (const [current, other] of [[one, two], [two, one]]) {
          await until(() => client.state == "connected" && client.url == current.url);
          await current.kill();
          await until(() => client.state == "connected" && client.url == other.url);
          const text = `at ${other.url}`;
          await client.publish("/fail-over/a", text);
          await until(() => heard.includes(text));
          await current.start();
        }
        assert.equal(heard.length, 2);
        await client.disconnect();
      });
    }
  });

  describe("credentials", () => {
    let server;
    before(async () => (server = await Server.start("bayeuxd")));
    after(() => server.stop());

    for (const way of WAYS.both) {
      it(`that are refused are fetched anew, also when the session is lost later (${way})`, async () => {
        let valid = "first";
        server.backend.admits = (ext) => ext?.token == valid;
        const asked = [];
        const client = await open(server.url, [way], {
          token: async (refused) => {
            asked.push(refused?.code);
            return refused ? valid : "stale";
          },
        });
        assert.deepEqual(asked, [undefined, 403]);
        valid = "second";
        const log = record(client);
        await server.kill();
        await server.start();
        await until(() => log.includes("connected"));
        assert.deepEqual(asked, [undefined, 403, undefined, 403]);
        await client.disconnect();
      });

      it(`that stay refused end the client, with the server's word (${way})`, async () => {
        server.backend.admits = () => false;
        assert.equal(await failure(open(server.url, [way], { token: () => "bad" })), "403:credentials:handshake_denied");
        server.backend.admits = undefined;
      });
    }
  });
}
