/* Positions, replay and gaps against servers that grant them. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, longPolling, websocket } from "@bayeuxd/client";
import WebSocket from "ws";
import { record, until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

const make = { websocket: () => websocket({ WebSocket }), "long-polling": () => longPolling() };

const grantsReplay = async (url) => {
  const message = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"], ext: { replay: true } };
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify([message]) });
  return (await response.json())[0].ext?.replay === true;
};

for (const [kind, { transports }] of Object.entries(KINDS)) {
  // Faye and CometD have no replay; a server that should have it but does not say so is named.
  if (kind != "bayeuxd") continue;
  for (const type of transports) {
    describe(`${kind}: replay over ${type}`, () => {
      let server, granted;
      const clients = [];
      const open = async (options) => {
        const client = new Client(server.url, { transports: [make[type]()], backoff: 20, backoffMax: 200, ...options });
        clients.push(client);
        await client.connect();
        return client;
      };
      before(async () => {
        server = await Server.start(kind);
        granted = await grantsReplay(server.url);
      });
      after(async () => {
        await Promise.all(clients.map((client) => client.disconnect()));
        await server.stop();
      });
      const test = (name, run) =>
        it(name, (t) => (granted ? run() : t.skip(`this ${kind} does not grant ext.replay in its handshake`)));

      test("gives the past, then the present, once each and in order", async () => {
        const writer = await open();
        for (let n = 0; n < 20; n++) await writer.publish("/past/a", n);
        const reader = await open();
        const heard = [];
        reader.subscribe("/past/a", ({ data }) => heard.push(data), { replay: -2 });
        for (let n = 20; n < 40; n++) await writer.publish("/past/a", n);
        await until(() => heard.length >= 40);
        assert.deepEqual(heard, Array.from({ length: 40 }, (_, n) => n));
      });

      test("goes on after a position that was seen before", async () => {
        const writer = await open();
        const reader = await open();
        const positions = [];
        await reader.subscribe("/place/a", ({ data, ext }) => positions.push([data, ext.replay.id])).ready;
        for (let n = 0; n < 5; n++) await writer.publish("/place/a", n);
        await until(() => positions.length == 5);
        const other = await open();
        const heard = [];
        other.subscribe("/place/a", ({ data }) => heard.push(data), { replay: positions[2][1] });
        await until(() => heard.length == 2);
        assert.deepEqual(heard, [3, 4]);
      });

      test("gives a second subscription of a channel its own past", async () => {
        const reader = await open();
        const first = [];
        await reader.subscribe("/twice/a", (message) => first.push(message)).ready;
        for (let n = 0; n < 4; n++) await reader.publish("/twice/a", n);
        await until(() => first.length == 4);
        const second = [];
        reader.subscribe("/twice/a", ({ data }) => second.push(data), { replay: first[1].ext.replay.id });
        await reader.publish("/twice/a", 4);
        await until(() => second.length == 3 && first.length == 5);
        assert.deepEqual([first.map(({ data }) => data), second], [[0, 1, 2, 3, 4], [2, 3, 4]]);
      });

      test("loses nothing when the session is lost", async () => {
        const writer = await open();
        // Without acknowledgement a broken link means a new session, which replays.
        const reader = await open({ ack: false });
        const heard = [];
        await reader.subscribe("/lost/a", ({ data }) => heard.push(data)).ready;
        await writer.publish("/lost/a", 0);
        await until(() => heard.length == 1);
        const clientId = reader.clientId;
        await reader.disconnect();
        for (let n = 1; n < 10; n++) await writer.publish("/lost/a", n);
        await reader.connect();
        await until(() => heard.length >= 10);
        assert.notEqual(reader.clientId, clientId);
        assert.deepEqual(heard, Array.from({ length: 10 }, (_, n) => n));
      });

      test("reports a gap when a restart has emptied the log", async () => {
        const writer = await open();
        const reader = await open();
        const log = record(reader);
        const heard = [];
        await reader.subscribe("/gone/a", ({ data }) => heard.push(data)).ready;
        await writer.publish("/gone/a", "before");
        await until(() => heard.length == 1);
        await server.kill();
        await server.start();
        await until(() => log.some((entry) => entry.gap) && reader.state == "connected" && writer.state == "connected");
        await writer.publish("/gone/a", "after");
        await until(() => heard.includes("after"));
        assert.deepEqual(heard, ["before", "after"]);
      });
    });
  }
}
