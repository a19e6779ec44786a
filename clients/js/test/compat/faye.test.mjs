/*
 * The Faye compatibility layer: the same small application with Faye's own client and with ours, whose stories must be
 * the same; then what only ours does.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import * as ours from "@bayeuxd/client/compat/faye";
import official from "faye";
import WebSocket from "ws";
import { until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

const made = [];
const make = (library, url, options) => {
  // Faye refuses options it does not know.
  const client = new library.Client(url, library == ours ? { WebSocket, retry: 0.05, ...options } : { retry: 0.05 });
  made.push(client);
  return client;
};

const applications = {
  async "subscribe, publish, cancel"(library, url) {
    const client = make(library, url);
    const story = [];
    const wild = client.subscribe("/story/*").withChannel((channel, data) => story.push(`wild ${channel} ${JSON.stringify(data)}`));
    const plain = client.subscribe("/story/a", (data) => story.push(`plain ${JSON.stringify(data)}`));
    await wild;
    plain.callback(() => story.push("plain ready"));
    await plain;
    await client.publish("/story/a", { n: 1 });
    await until(() => story.some((line) => line.startsWith("wild")) && story.some((line) => line.startsWith("plain {")));
    plain.cancel();
    await client.publish("/story/a", { n: 2 });
    await until(() => story.some((line) => line.includes('{"n":2}')));
    client.unsubscribe("/story/*");
    await client.publish("/story/a", { n: 3 });
    await client.disconnect();
    // cometd-nodejs-server sends a message once for each subscription that covers it.
    return [...new Set(story)].sort();
  },

  async "many channels at once, a context, and the same handler twice"(library, url) {
    const client = make(library, url);
    const story = [];
    const context = { name: "mine" };
    const hear = function (data) {
      story.push(`${this.name} ${data}`);
    };
    const subscriptions = client.subscribe(["/m/one", "/m/two"], hear, context);
    await Promise.all(subscriptions);
    await client.subscribe("/m/one", hear, context);
    await client.publish("/m/one", 1);
    await client.publish("/m/two", 2);
    await until(() => story.length == 3);
    await client.disconnect();
    return story.sort();
  },

  async "what is refused"(library, url) {
    const client = make(library, url);
    const story = [];
    const tell = (what) => (error) => story.push(`${what} ${error.code} ${JSON.stringify(error.params)} ${error.message}`);
    await client.publish("/denied/*", 1).then(() => story.push("published"), tell("wildcard"));
    await client.publish("/denied/a", 1).then(() => story.push("published"), tell("publish"));
    await client.subscribe("/denied/a", () => {}).then(() => story.push("subscribed"), tell("subscribe"));
    await new Promise((resolve) => client.publish("/denied/a", 1).errback((error) => (tell("errback")(error), resolve())));
    await client.disconnect();
    return story;
  },

  async "extensions, quick and slow"(library, url) {
    const client = make(library, url);
    const story = [];
    const quick = {
      added: () => story.push("added"),
      removed: () => story.push("removed"),
      outgoing(message, callback) {
        if (message.channel == "/ext") message.data.marks += "q";
        callback(message);
      },
      incoming(message, callback) {
        if (message.channel == "/ext" && message.data?.marks == "drop") return callback(null);
        callback(message);
      },
    };
    const slow = {
      outgoing(message, request, callback) {
        if (message.channel != "/ext") return callback(message);
        setImmediate(() => {
          message.data.marks += "s";
          callback(message);
        });
      },
    };
    client.addExtension(quick);
    client.addExtension(slow);
    await client.subscribe("/ext", ({ marks }) => story.push(marks));
    await client.publish("/ext", { marks: "" });
    await until(() => story.includes("qs"));
    client.removeExtension(quick);
    client.removeExtension(quick);
    await client.publish("/ext", { marks: "" });
    await until(() => story.includes("s"));
    await client.disconnect();
    return story;
  },

  async "a server that goes away and comes back"(library, url, server) {
    const client = make(library, url);
    const story = [];
    client.on("transport:down", () => story.push("down"));
    client.bind("transport:up", function () { story.push("up " + this.name); }, { name: "mine" });
    await client.subscribe("/back", (data) => story.push(data));
    await client.publish("/back", "before");
    await until(() => story.includes("before") && story.includes("up mine"));
    await server.kill();
    await until(() => story.includes("down"));
    // Faye's own client may report that the session was unknown; then it makes a new one.
    const tried = (publication) => publication.then(() => {}, () => {});
    const published = tried(client.publish("/other", "during"));
    await server.start();
    await published;
    await until(() => story.filter((line) => line == "up mine").length > 1);
    // Published until heard: the subscription is renewed at some time after the server is back.
    for (let n = 0; !story.includes("after"); n++) {
      await tried(client.publish("/back", "after"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.disconnect();
    return [...new Set(story)].sort();
  },
};

for (const kind of Object.keys(KINDS)) {
  describe(`the same application on ${kind}`, () => {
    let server, reference;
    before(async () => ([server, reference] = await Promise.all([Server.start(kind), Server.start("faye")])));
    after(() => Promise.all([server.stop(), reference.stop()]));
    // Where Faye's own client tells its story. It loses sessions and messages on cometd-nodejs-server.
    const measure = kind == "cometd" ? () => reference : () => server;
    for (const [name, application] of Object.entries(applications)) {
      // Servers refuse in words of their own.
      if (name == "what is refused" && kind == "cometd") continue;
      it(name, async () => {
        const theirs = await application(official, measure().url, measure());
        const story = await application(ours, server.url, server);
        assert.deepEqual(story, theirs);
        assert.ok(story.length > 1, "there is a story to compare");
      });
    }
  });
}

describe("compat/faye by itself", () => {
  let server;
  before(async () => (server = await Server.start("faye")));
  after(() => server.stop());

  it("has every name of Faye's client that applications use", () => {
    const ignored = /^(initialize|debug|info|warn|error|fatal|writeLog|timeout|callback|errback|then|setDeferredStatus|handshake|pipeThroughExtensions|addListener|once|removeAllListeners|listeners|countListeners|emit)$/;
    const mine = make(ours, server.url);
    const names = [];
    for (const name in official.Client.prototype) if (typeof official.Client.prototype[name] == "function") names.push(name);
    const missing = names.filter((name) => !name.startsWith("_") && !ignored.test(name) && typeof mine[name] != "function");
    assert.deepEqual(missing, []);
  });

  it("can be had by import and by require, whole or in parts", async () => {
    const required = createRequire(import.meta.url)("@bayeuxd/client/compat/faye");
    assert.equal(typeof required.Client, "function");
    assert.equal(ours.default.Client, ours.Client);
    assert.equal(ours.VERSION, official.VERSION);
  });

  it("does without a transport that is disabled, and sends headers", async () => {
    const requests = [];
    const client = make(ours, server.url, { fetch: (url, init) => (requests.push(init.headers), fetch(url, init)) });
    client.disable("websocket");
    client.setHeader("X-Mine", "1");
    await client.publish("/a", 1);
    assert.ok(requests.length);
    assert.ok(requests.every((headers) => headers["X-Mine"] == "1"));
    await client.disconnect();
  });

  it("uses an endpoint of its own for a transport", async () => {
    const client = make(ours, "http://127.0.0.1:1/bayeux", { endpoints: { websocket: server.url } });
    await client.publish("/a", 1);
    await client.disconnect();
  });

  it("gives up a publication at its deadline", async () => {
    const client = make(ours, "http://127.0.0.1:1/bayeux");
    const error = await client.publish("/a", 1, { deadline: 0.05 }).then(() => "published", (error) => error);
    assert.ok(error instanceof ours.Error);
    await client.disconnect();
  });

  it("connects when told to, and stays away when disconnected", async () => {
    const client = make(ours, server.url);
    await new Promise((resolve) => client.connect(resolve));
    await client.disconnect();
    assert.ok((await client.publish("/a", 1).then(() => "published", (error) => error)) instanceof ours.Error);
    assert.ok((await client.subscribe("/a", () => {}).then(() => "subscribed", (error) => error)) instanceof ours.Error);
  });
});
