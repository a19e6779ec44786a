/* The same expectations of every server, over every transport it has. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { BayeuxError, Client, longPolling, websocket } from "@bayeuxd/client";
import WebSocket from "ws";
import { failure, record, until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

const make = { websocket: () => websocket({ WebSocket }), "long-polling": () => longPolling() };
/** Every third answer to a connect is lost on the way, and the connection with it: the server believes it was delivered. */
const lossy = {
  "long-polling": () => {
    let count = 0;
    return longPolling({
      fetch: async (url, options) => {
        const response = await fetch(url, options);
        if (!options.body.includes("/meta/connect") || ++count % 3) return response;
        await response.text();
        throw new TypeError("cut");
      },
    });
  },
  websocket: () => {
    let count = 0;
    return websocket({
      WebSocket: class {
        constructor(url) {
          const socket = (this.socket = new WebSocket(url));
          socket.onopen = (event) => this.onopen(event);
          socket.onerror = () => {};
          socket.onclose = (event) => this.onclose?.(event);
          socket.onmessage = (event) => {
            if (event.data.includes("/meta/connect") && ++count % 3 == 0) socket.terminate();
            else this.onmessage?.(event);
          };
        }
        send(text) {
          this.socket.send(text);
        }
        close() {
          this.socket.close();
        }
      },
    });
  },
};

let serial = 0;
/** A channel of its own for each test, so that tests cannot hear each other. */
const fresh = () => `/test/t${++serial}`;

for (const [kind, { transports, denies, calls, ack }] of Object.entries(KINDS)) {
  for (const type of transports) {
    describe(`${kind} over ${type}`, () => {
      let server;
      const clients = [];
      const open = (options) => {
        const client = new Client(server.url, { transports: [make[type]()], backoff: 50, backoffMax: 200, networkTimeout: 10_000, ...options });
        client.on("error", () => {});
        clients.push(client);
        return client;
      };
      before(async () => (server = await Server.start(kind)));
      after(async () => {
        await Promise.all(clients.map((client) => client.disconnect()));
        await server.stop();
      });

      it("connects, subscribes, publishes, and hears itself", async () => {
        const client = open();
        const channel = fresh();
        await client.connect();
        const heard = [];
        await client.subscribe(channel, (message) => heard.push(message)).ready;
        await client.publish(channel, { text: "grüß dich 🎈", n: 1.5, none: null });
        await until(() => heard.length);
        assert.equal(heard[0].channel, channel);
        assert.deepEqual(heard[0].data, { text: "grüß dich 🎈", n: 1.5, none: null });
      });

      it("iterates over a wildcard subscription in the order of publishing", async () => {
        const [reader, writer] = [open(), open()];
        const channel = fresh();
        await Promise.all([reader.connect(), writer.connect()]);
        const subscription = reader.subscribe(`${channel}/*`);
        await subscription.ready;
        // Not awaited one by one: the client keeps the order by itself.
        for (let n = 0; n < 50; n++) writer.publish(`${channel}/x`, n);
        const seen = [];
        for await (const { data } of subscription) if (seen.push(data) == 50) break;
        assert.deepEqual(seen, Array.from({ length: 50 }, (_, n) => n));
      });

      it("goes through many connects", async () => {
        const client = open();
        const channel = fresh();
        const states = record(client);
        const heard = [];
        client.subscribe(channel, ({ data }) => heard.push(data));
        await client.connect();
        for (let n = 0; n < 5; n++) {
          await client.publish(channel, n);
          await until(() => heard.length > n);
        }
        assert.deepEqual(states, ["connecting", "connected"]);
      });

      it("hears nothing after unsubscribing", async () => {
        const client = open();
        const [left, kept] = [fresh(), fresh()];
        const heard = [];
        await client.connect();
        const subscription = client.subscribe(left, ({ channel }) => heard.push(channel));
        await subscription.ready;
        await client.subscribe(kept, ({ channel }) => heard.push(channel)).ready;
        subscription.unsubscribe();
        await client.publish(left, 1);
        await client.publish(kept, 1);
        await until(() => heard.length);
        assert.deepEqual(heard, [kept]);
      });

      it("disconnects and connects again", async () => {
        const client = open();
        const channel = fresh();
        const heard = [];
        client.subscribe(channel, ({ data }) => heard.push(data));
        await client.connect();
        const first = client.clientId;
        await client.disconnect();
        await client.connect();
        assert.notEqual(client.clientId, first);
        await client.publish(channel, "again");
        await until(() => heard.length);
        assert.deepEqual(heard, ["again"]);
      });

      it("refuses connect() by abort signal when nobody is there", async () => {
        const client = new Client("http://127.0.0.1:1/bayeux", { transports: [make[type]()], backoff: 10 });
        const error = await client.connect({ signal: AbortSignal.timeout(100) }).catch((error) => error);
        assert.equal(error.name, "TimeoutError");
        assert.equal(client.state, "disconnected");
      });

      it("survives a killed server: a new session, the old subscriptions", async () => {
        const client = open();
        const channel = fresh();
        const states = record(client);
        const heard = [];
        client.subscribe(channel, ({ data }) => heard.push(data));
        await client.connect();
        const first = client.clientId;
        await server.kill();
        await until(() => client.state == "reconnecting");
        await server.start();
        await until(() => client.state == "connected");
        await client.publish(channel, "after");
        await until(() => heard.length);
        assert.deepEqual(heard, ["after"]);
        assert.deepEqual(states.filter((state, n) => state != states[n - 1]), ["connecting", "connected", "reconnecting", "connected"]);
        assert.notEqual(client.clientId, first);
      });

      it("sends after a kill what was published during it", async () => {
        const [reader, writer] = [open(), open()];
        const channel = fresh();
        const heard = [];
        reader.subscribe(channel, ({ data }) => heard.push(data));
        await Promise.all([reader.connect(), writer.connect()]);
        await server.kill();
        await until(() => writer.state == "reconnecting" && reader.state == "reconnecting");
        const published = writer.publish(channel, "kept");
        const givenUp = failure(writer.publish(channel, "dropped", { signal: AbortSignal.timeout(50) }));
        assert.equal((await givenUp).name, "TimeoutError");
        await server.start();
        await published;
        await until(() => reader.state == "connected");
        // The reader may have been later than the writer, so this one it surely hears.
        await writer.publish(channel, "last");
        await until(() => heard.includes("last"));
        assert.ok(!heard.includes("dropped"));
      });

      it("notices a server that stands still, and gets back the session when it moves on", async () => {
        const client = open({ networkTimeout: 2000 });
        const channel = fresh();
        const heard = [];
        client.subscribe(channel, ({ data }) => heard.push(data));
        await client.connect();
        await server.freeze();
        try {
          assert.equal(await failure(client.publish(channel, "unheard")), "406::timeout");
          assert.equal(client.state, "reconnecting");
        } finally {
          server.thaw();
        }
        await until(() => client.state == "connected");
        await client.publish(channel, "heard", { attempts: Infinity });
        await until(() => heard.includes("heard"));
      });

      if (denies) {
        it("reports what the server refuses", async () => {
          const client = open();
          await client.connect();
          const publish = await client.publish("/denied/a", 1).catch((error) => error);
          assert.ok(publish instanceof BayeuxError);
          assert.equal(publish.code, 403);
          assert.ok((await client.subscribe("/denied/a", () => {}).ready.catch((error) => error)) instanceof BayeuxError);
          await client.publish("/fine", 1);
        });
      }

      if (calls) {
        it("calls a service", async () => {
          const client = open();
          await client.connect();
          assert.deepEqual(await client.call("echo", "hello"), { echo: "hello" });
          assert.equal(await failure(client.call("nobody", "hello", { timeout: 100 })), "406::timeout");
        });
      }

      if (ack) {
        it("loses no message when answers to connects are lost", async () => {
          const [reader, writer] = [open({ transports: [lossy[type]()], backoff: 1 }), open()];
          const channel = fresh();
          const heard = [];
          let positions = false;
          reader.subscribe(channel, ({ data, ext }) => {
            heard.push(data);
            positions ||= ext?.replay !== undefined;
          });
          await Promise.all([reader.connect(), writer.connect()]);
          for (let n = 0; n < 30; n++) await writer.publish(channel, n);
          await until(() => heard.includes(29));
          // Over WebSocket, messages and the reply that acknowledges them may be frames of their own. When only the
          // second is lost, the first come again; without positions nobody can tell that they are the same.
          const once = type == "websocket" && !positions ? [...new Set(heard)] : heard;
          assert.deepEqual(once, Array.from({ length: 30 }, (_, n) => n));
        });
      }
    });
  }
}
