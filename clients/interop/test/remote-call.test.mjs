/*
 * `remoteCall` of the official cometd client, unmodified: a publish to a service channel is answered by a backend of the
 * user's, through the broker. The backend stands here, in Node; the broker's own tests use one in Python.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { Broker, serverName } from "../harness/broker.mjs";
import { within } from "../harness/deadline.mjs";

const ANSWER_MS = 10_000;
const CALLS = 50;

describe("remoteCall of cometd 9 in Node", { skip: serverName !== "bayeuxd" && "only bayeuxd calls backends" }, () => {
  let backend, broker, library;

  before(async () => {
    backend = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { data: call } = JSON.parse(body);
      if (call.channel === "/service/sum") {
        response.end(JSON.stringify(call.data.reduce((sum, number) => sum + number, 0)));
      } else if (call.channel === "/service/echo") {
        response.end(JSON.stringify(call.data));
      } else if (call.channel === "/service/fails") {
        response.writeHead(500).end();
      }
      /* Anything else is never answered. */
    }).listen(0, "127.0.0.1");
    await once(backend, "listening");
    const url = `http://127.0.0.1:${backend.address().port}/`;
    broker = await Broker.start({ service: `[{ channel = "/service/**", url = "${url}", timeout = "1s" }]` });
    (await import("cometd-nodejs-client")).adapt();
    library = await import("cometd");
  });

  after(async () => {
    await broker?.stop();
    backend?.closeAllConnections();
    backend?.close();
  });

  for (const transport of ["long-polling", "websocket"]) {
    test(`over ${transport} answers, failures and silence come back to the call they belong to`, async () => {
      const cometd = new library.CometD();
      cometd.unregisterTransports();
      const kind = transport === "websocket" ? "WebSocketTransport" : "LongPollingTransport";
      cometd.registerTransport(transport, new library[kind]());
      cometd.configure({ url: broker.url, logLevel: "warn" });
      const replied = await within(ANSWER_MS, "a handshake", new Promise((resolve) => cometd.handshake(resolve)));
      assert.equal(replied.successful, true);
      const call = (target, content) =>
        within(ANSWER_MS, `an answer of ${target}`, new Promise((resolve) => cometd.remoteCall(target, content, resolve)));
      try {
        const sums = await Promise.all(Array.from({ length: CALLS }, (_, n) => call("sum", [n, 1000])));
        sums.forEach((answer, n) => {
          assert.equal(answer.successful, true);
          assert.equal(answer.data, n + 1000);
        });
        const failed = await call("fails", {});
        assert.equal(failed.successful, false);
        assert.equal(failed.data.error, "502:status 500:backend_failed");
        const silent = await call("silent", {});
        assert.equal(silent.successful, false);
        assert.equal(silent.data.error, "408::timeout");
      } finally {
        await within(ANSWER_MS, "a goodbye", new Promise((resolve) => cometd.disconnect(resolve)));
      }
    });

    test(`over ${transport} remoteCallBinary carries bytes there and back, and an answer that is none`, async () => {
      const cometd = new library.CometD();
      cometd.unregisterTransports();
      const kind = transport === "websocket" ? "WebSocketTransport" : "LongPollingTransport";
      cometd.registerTransport(transport, new library[kind]());
      cometd.registerExtension("binary", new library.BinaryExtension());
      cometd.configure({ url: broker.url, logLevel: "warn" });
      const replied = await within(ANSWER_MS, "a handshake", new Promise((resolve) => cometd.handshake(resolve)));
      assert.equal(replied.successful, true);
      const bytes = Uint8Array.from({ length: 301 }, (_, at) => at % 256);
      const call = (target) => within(ANSWER_MS, `an answer of ${target}`, new Promise((resolve) =>
        cometd.remoteCallBinary(target, bytes, true, { name: "x" }, ANSWER_MS, undefined, resolve)));
      try {
        const answer = await call("echo");
        assert.equal(answer.successful, true);
        assert.deepEqual([...new Uint8Array(answer.data.data)], [...bytes]);
        assert.deepEqual(answer.data.meta, { name: "x" });
        const failed = await call("fails");
        assert.equal(failed.successful, false);
        assert.equal(failed.data.error, "502:status 500:backend_failed");
      } finally {
        await within(ANSWER_MS, "a goodbye", new Promise((resolve) => cometd.disconnect(resolve)));
      }
    });
  }
});
