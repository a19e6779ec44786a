/* The real transports against a small HTTP and WebSocket server that does exactly what the test says. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Client, longPolling, websocket } from "@bayeuxd/client";
import WebSocket, { WebSocketServer } from "ws";
import { until } from "../support/fake.mjs";

/** One server and one link of a transport to it. */
class Bench {
  received = [];
  failures = [];
  opened = 0;
  requests = [];
  /** What the server does with a request: (messages, response, request). */
  handle = (messages, response) => response.end(JSON.stringify(messages.map(({ id, channel }) => ({ id, channel, successful: true }))));

  async start() {
    this.server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      const messages = JSON.parse(body);
      this.requests.push({ messages, headers: request.headers, url: request.url });
      this.handle(messages, response, request);
    });
    this.sockets = new WebSocketServer({ server: this.server, path: "/bayeux" });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}/bayeux`;
  }
  open(transport) {
    const { url } = this;
    this.link = transport.open({
      url,
      opened: () => this.opened++,
      fail: (why) => this.failures.push(String(why)),
      receive: (messages) => messages.forEach((message) => this.received.push(message)),
    });
    return this.link;
  }
  async stop() {
    this.link?.close();
    this.sockets.clients.forEach((socket) => socket.terminate());
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

let bench;
beforeEach(async () => {
  bench = new Bench();
  await bench.start();
});
afterEach(() => bench.stop());
const message = (id, channel = "/a") => ({ id: String(id), channel, data: id });

describe("long-polling", () => {
  it("posts arrays of JSON to the bare URL", async () => {
    bench.open(longPolling({ headers: { "x-mine": "1" } })).send([message(1)]);
    await until(() => bench.received.length);
    const [{ messages, headers, url }] = bench.requests;
    assert.deepEqual(messages, [message(1)]);
    assert.equal(url, "/bayeux");
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["x-mine"], "1");
  });

  it("sends one request at a time beside the connect, and joins what waits", async () => {
    const responses = [];
    bench.handle = (messages, response) => responses.push(() => response.end(JSON.stringify(messages.map(({ id }) => ({ id })))));
    const link = bench.open(longPolling());
    link.send([message(0, "/meta/connect")]);
    link.send([message(1)]);
    link.send([message(2)]);
    link.send([message(3), message(4)]);
    await until(() => bench.requests.length == 2);
    responses[1]();
    await until(() => bench.requests.length == 3);
    assert.deepEqual(bench.requests.map(({ messages }) => messages.map(({ id }) => id)), [["0"], ["1"], ["2", "3", "4"]]);
    responses.forEach((answer) => answer());
    await until(() => bench.received.length == 5);
  });

  it("makes headers anew for every request", async () => {
    let n = 0;
    const link = bench.open(longPolling({ headers: () => ({ authorization: "Bearer " + ++n }) }));
    link.send([message(1)]);
    await until(() => bench.received.length == 1);
    link.send([message(2)]);
    await until(() => bench.received.length == 2);
    assert.deepEqual(bench.requests.map(({ headers }) => headers.authorization), ["Bearer 1", "Bearer 2"]);
  });

  it("keeps cookies where the environment shows them", async () => {
    const answer = bench.handle;
    bench.handle = (messages, response) => {
      response.setHeader("set-cookie", ["BAYEUX_BROWSER=b1; Path=/; HttpOnly", "node=n7"]);
      answer(messages, response);
    };
    const link = bench.open(longPolling());
    link.send([message(1)]);
    await until(() => bench.received.length == 1);
    link.send([message(2)]);
    await until(() => bench.received.length == 2);
    assert.deepEqual(bench.requests.map(({ headers }) => headers.cookie), [undefined, "BAYEUX_BROWSER=b1; node=n7"]);
  });

  it("turns a 4xx into a refusal of each message, with the server's word if it has one", async () => {
    bench.handle = (messages, response) => response.writeHead(413).end('[{"successful":false,"error":"413:1048576:message_too_large"}]');
    const link = bench.open(longPolling());
    link.send([message(1), message(2)]);
    await until(() => bench.received.length == 2);
    assert.deepEqual(bench.received[1], { id: "2", channel: "/a", successful: false, error: "413:1048576:message_too_large" });
    bench.handle = (messages, response) => response.writeHead(404).end("<html>");
    link.send([message(3)]);
    await until(() => bench.received.length == 3);
    assert.equal(bench.received[2].error, "404::Not Found");
    assert.deepEqual(bench.failures, []);
  });

  for (const [what, handle] of [
    ["a 5xx", (messages, response) => response.writeHead(503).end('[{"successful":false,"error":"503::shutting_down"}]')],
    ["an empty array", (messages, response) => response.end("[]")],
    ["no body", (messages, response) => response.end()],
    ["what is not JSON", (messages, response) => response.end("<html>login please</html>")],
    ["JSON that is no array", (messages, response) => response.end('{"length":1}')],
    ["a reset connection", (messages, response, request) => request.socket.destroy()],
  ]) {
    it(`fails the link on ${what}`, async () => {
      bench.handle = handle;
      bench.open(longPolling()).send([message(1)]);
      await until(() => bench.failures.length);
      assert.deepEqual(bench.received, []);
    });
  }

  it("keeps characters whole that arrive in pieces", async () => {
    bench.handle = async (messages, response) => {
      for (const byte of Buffer.from('[{"channel":"/a","data":"grüß 🎈"}]')) {
        response.write(Buffer.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    };
    bench.open(longPolling()).send([message(1)]);
    await until(() => bench.received.length);
    assert.equal(bench.received[0].data, "grüß 🎈");
  });

  it("is silent after close, even about the requests it cancels", async () => {
    bench.handle = () => {};
    const link = bench.open(longPolling());
    link.send([message(0, "/meta/connect")]);
    link.send([message(1)]);
    await until(() => bench.requests.length == 2);
    link.close();
    await until(() => bench.server.connections === 0 || bench.requests.length == 2);
    assert.deepEqual(bench.failures, []);
  });

  it("lets the goodbye outlive the page", async () => {
    const options = [];
    const link = bench.open(longPolling({ fetch: (url, init) => (options.push(init), fetch(url, init)), credentials: "include" }));
    link.send([message(1)]);
    await until(() => bench.received.length == 1);
    link.send([message(2, "/meta/disconnect")]);
    await until(() => bench.received.length == 2);
    assert.deepEqual(options.map(({ keepalive }) => keepalive), [false, true]);
    assert.equal(options[0].credentials, "include");
  });
});

describe("websocket", () => {
  const accept = () => once(bench.sockets, "connection").then(([socket]) => socket);

  it("writes one array per frame, in order, also what was sent before it opened", async () => {
    const link = bench.open(websocket({ WebSocket, protocols: "bayeux" }));
    link.send([message(1)]);
    link.send([message(2), message(3)]);
    const socket = await accept();
    const frames = [];
    socket.on("message", (data) => frames.push(JSON.parse(data)));
    await until(() => frames.length == 2);
    link.send([message(4)]);
    await until(() => frames.length == 3);
    assert.deepEqual(frames, [[message(1)], [message(2), message(3)], [message(4)]]);
    assert.equal(bench.opened, 1);
    assert.equal(socket.protocol, "bayeux");
  });

  for (const [what, act] of [
    ["a closed socket", (socket) => socket.close(1011, "oops")],
    ["a cut socket", (socket) => socket.terminate()],
    ["a frame that is not JSON", (socket) => socket.send("<html>")],
    ["a frame that is no array", (socket) => socket.send("7")],
    ["an array of no messages", (socket) => socket.send("[null]")],
  ]) {
    it(`fails the link on ${what}`, async () => {
      const client = new Client(bench.url, { transports: [websocket({ WebSocket })], backoff: 1 });
      client.connect().catch(() => {});
      const failed = new Promise((resolve) => client.on("state", ({ reason }) => reason && resolve(reason)));
      act(await accept());
      assert.equal((await failed).code, 0);
      await client.disconnect();
    });
  }

  it("says nothing any more after close", async () => {
    const link = bench.open(websocket({ WebSocket }));
    const socket = await accept();
    const closed = once(socket, "close");
    link.close();
    await closed;
    assert.deepEqual(bench.failures, []);
  });

  it("fails when nobody listens", async () => {
    bench.url = "http://127.0.0.1:1/bayeux";
    bench.open(websocket({ WebSocket }));
    await until(() => bench.failures.length);
  });

  it("cannot be used where there is no WebSocket, so the next transport is", async () => {
    const global = globalThis.WebSocket;
    delete globalThis.WebSocket;
    try {
      bench.handle = (messages, response) =>
        messages[0].channel == "/meta/connect" && !messages[0].advice
          ? undefined
          : response.end(JSON.stringify(messages.map(({ id, channel }) => ({ id, channel, successful: true, clientId: "c" }))));
      const client = new Client(bench.url, { transports: [websocket(), longPolling()] });
      await client.connect();
      assert.equal(client.transport, "long-polling");
      await client.disconnect();
    } finally {
      if (global) globalThis.WebSocket = global;
    }
  });
});
