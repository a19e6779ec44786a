/* From WebSocket to long-polling and back with the same session, on servers that have both. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, longPolling, websocket } from "@bayeuxd/client";
import WebSocket from "ws";
import { until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

for (const kind of Object.keys(KINDS).filter((kind) => KINDS[kind].transports.includes("websocket"))) {
  describe(`${kind}: a network that blocks WebSockets for a while`, () => {
    let server, client;
    let blocked = false;
    const sockets = new Set();
    class BlockableSocket extends WebSocket {
      constructor(url, protocols) {
        super(blocked ? "ws://127.0.0.1:1" : url, protocols);
        sockets.add(this);
      }
    }
    before(async () => (server = await Server.start(kind)));
    after(async () => {
      await client.disconnect();
      await server.stop();
    });

    it("falls back with the same clientId, and returns", async () => {
      client = new Client(server.url, {
        transports: [websocket({ WebSocket: BlockableSocket }), longPolling({ upgradeInterval: 100 })],
        backoff: 10,
        backoffMax: 200,
      });
      const heard = [];
      client.subscribe("/moving", ({ data }) => heard.push(data));
      await client.connect();
      const { clientId } = client;
      assert.equal(client.transport, "websocket");

      blocked = true;
      sockets.forEach((socket) => socket.terminate());
      await until(() => client.transport == "long-polling" && client.state == "connected");
      await client.publish("/moving", 1);
      await until(() => heard.length == 1);

      blocked = false;
      // It moves between two connects; messages let connects return.
      for (let n = 2; client.transport != "websocket"; n++) {
        await client.publish("/moving", n);
        await until(() => heard.length == n);
      }
      await until(() => client.state == "connected");
      await client.publish("/moving", "back");
      await until(() => heard.includes("back"));
      assert.equal(client.clientId, clientId);
      assert.deepEqual(heard.slice(0, -1), heard.slice(0, -1).map((_, n) => n + 1), "nothing lost, nothing twice");
    });
  });
}
