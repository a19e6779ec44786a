/*
 * The CometD compatibility layer. First the same small application with the official client and with ours, whose
 * stories must be the same; then what only ours does.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as ours from "@bayeuxd/client/compat/cometd";
import WebSocket from "ws";
import { adapt } from "cometd-nodejs-client";
import { until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

// The official client needs a `window`, which its companion makes; ours must not see a browser by that.
adapt();
const official = await import("cometd");

const META = ["handshake", "connect", "subscribe", "unsubscribe", "publish", "disconnect", "unsuccessful"];

/** What applications see of a message, without what differs from run to run. */
const show = ({ channel, successful, subscription, reestablish, data, error, failure }) =>
  [
    channel,
    successful,
    subscription,
    reestablish === undefined ? undefined : "reestablish=" + reestablish,
    data === undefined ? undefined : JSON.stringify(data),
    error,
    failure && "failure",
  ]
    .filter((part) => part !== undefined)
    .join(" ");

/** A client that tells its story: one line for each thing the application is told, repeated lines once. */
const storyteller = ({ CometD, kind }, options) => {
  const cometd = new CometD();
  if (!KINDS[kind].transports.includes("websocket")) cometd.unregisterTransport("websocket");
  const story = [];
  const tell = (line) => story.at(-1) != line && story.push(line);
  for (const name of META) cometd.addListener("/meta/" + name, (message) => tell(`${name}: ${show(message)}`));
  cometd.configure({ logLevel: "error", maxNetworkDelay: 1000, backoffIncrement: 100, maxBackoff: 300, WebSocket, ...options });
  return { cometd, story, tell };
};

/** One step of an application: starts something, and waits for the callback. */
const step = (start) => new Promise((resolve) => start(resolve));
const sorted = (story) => [...story].sort();
const without = (story, ...names) => story.filter((line) => !names.some((name) => line.startsWith(name + ":")));

const applications = {
  async "handshake, subscribe, publish, unsubscribe, disconnect"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    await step((done) => cometd.handshake((reply) => (tell("handshake callback " + reply.successful), done())));
    assert.equal(typeof cometd.getClientId(), "string");
    const first = await step((done) => {
      const handle = cometd.subscribe("/story/*", (message) => tell("event " + show(message)), (reply) => {
        tell("subscribe callback " + show(reply));
        done(handle);
      });
    });
    await step((done) => cometd.subscribe("/story/*", (message) => tell("second " + show(message)), (reply) => (tell("again " + show(reply)), done())));
    cometd.publish("/story/a", { n: 1 }, (reply) => tell("publish callback " + show(reply)));
    await until(() => story.some((line) => line.startsWith("second")) && story.some((line) => line.startsWith("publish callback")));
    await step((done) => cometd.unsubscribe(first, (reply) => (tell("unsubscribe callback " + show(reply)), done())));
    cometd.publish("/story/b", { n: 2 });
    await until(() => story.some((line) => line.includes('second /story/b {"n":2}')));
    await step((done) => cometd.disconnect((reply) => (tell("disconnect callback " + show(reply)), done())));
    tell(`${cometd.getStatus()} ${cometd.isDisconnected()}`);
    // Whether an event or the reply to its publish is told first is the network's business.
    return sorted(without(story, "connect"));
  },

  async "what is asked for during the handshake goes out after it, in order"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    cometd.init({ url });
    cometd.batch(() => {
      cometd.subscribe("/held", (message) => tell("event " + show(message)));
      cometd.publish("/held", "early", (reply) => tell("published " + reply.successful));
    });
    await until(() => story.includes('event /held "early"') && story.includes("published true"));
    await step((done) => cometd.disconnect(done));
    return sorted(without(story, "connect"));
  },

  async "what is refused"(library, url) {
    const { cometd, story, tell } = storyteller(library, { url });
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/denied/a", () => {}, (reply) => (tell("refused " + show(reply)), done())));
    await step((done) => cometd.publish("/denied/a", 1, (reply) => (tell("refused " + show(reply)), done())));
    await step((done) => cometd.disconnect(done));
    return without(story, "connect");
  },

  async "calls"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.remoteCall("echo", "hello", (answer) => (tell(show(answer)), done())));
    await step((done) =>
      cometd.remoteCall("nobody", "hello", 100, (answer) => {
        tell(`${answer.successful} ${answer.error} ${answer.failure.reason} ${answer.failure.message.data}`);
        done();
      }),
    );
    await step((done) => cometd.disconnect(done));
    return without(story, "connect");
  },

  async "a server that goes away and comes back"(library, url, server) {
    const { cometd, story, tell } = storyteller(library, { url });
    let handle;
    cometd.addListener("/meta/handshake", ({ successful }) => {
      if (successful) cometd.batch(() => (handle = cometd.subscribe("/back", (message) => tell("event " + show(message)))));
    });
    cometd.handshake();
    await until(() => story.some((line) => line.startsWith("connect: /meta/connect true")));
    await server.kill();
    await until(() => story.some((line) => line.startsWith("connect: /meta/connect false failure")));
    await server.start();
    await until(() => story.some((line) => line.includes("reestablish=true")));
    await until(() => story.at(-1).startsWith("connect: /meta/connect true"));
    cometd.publish("/back", "again");
    await until(() => story.some((line) => line.startsWith("event")));
    await step((done) => cometd.disconnect(done));
    // How often it tried is not part of the story, nor is the name of the lost session.
    return [...new Set(story.map((line) => line.replace(/401:\w+:/, "401:…:")))].sort();
  },

  async "illegal uses"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const attempt = (what, action) => {
      try {
        tell(`${what}: ${action() ?? "fine"}`);
      } catch {
        tell(`${what}: throws`);
      }
    };
    attempt("publish before", () => cometd.publish("/a", 1));
    attempt("subscribe before", () => cometd.subscribe("/a", () => {}));
    attempt("disconnect before", () => cometd.disconnect());
    attempt("endBatch alone", () => new library.CometD().endBatch());
    attempt("configure without url", () => new library.CometD().configure({}));
    await step((done) => cometd.handshake(done));
    attempt("handshake twice", () => cometd.handshake());
    attempt("publish to meta", () => cometd.publish("/meta/x", 1));
    attempt("publish to nothing", () => cometd.publish("a", 1));
    attempt("subscribe to =", () => cometd.subscribe("/a=b", () => {}));
    attempt("subscribe without callback", () => cometd.subscribe("/a", {}, "missing"));
    attempt("removeListener of nothing", () => cometd.removeListener(undefined));
    attempt("transport event", () => cometd.addTransportListener("other", () => {}));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },

  async "scopes, globs, and listeners that throw"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const scope = { name: "scope", hear(message) { tell(`${this.name} ${show(message)}`); } };
    cometd.onListenerException = function (error, handle, isListener) {
      tell(`caught ${error.message} ${handle.channel} ${isListener}`);
    };
    cometd.addListener("/deep/**", (message) => tell("** " + show(message)));
    cometd.addListener("/deep/a/*", () => { throw new Error("mine"); });
    cometd.addListener("/deep/a/b", scope, scope.hear);
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/deep/a/b", scope, "hear", done));
    cometd.publish("/deep/a/b", 1);
    await until(() => story.some((line) => line.startsWith("**"))).catch((e) => { console.log(story); throw e; });
    cometd.clearListeners();
    cometd.publish("/deep/a/b", 2);
    await step((done) => cometd.publish("/deep/a/b", 3, done));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },

  async "extensions"(library, url) {
    const { cometd, tell, story } = storyteller(library, { url });
    const extension = (name) => ({
      registered: (own) => tell(`${name} registered as ${own}`),
      unregistered: () => tell(`${name} unregistered`),
      outgoing: (message) => {
        if (message.channel == "/ext") tell(`${name} out ${message.data.marks}`);
        if (message.channel == "/ext") message.data.marks += name;
        return message;
      },
      incoming: (message) => {
        if (message.channel == "/ext" && message.data) tell(`${name} in ${message.data.marks}`);
        if (message.data?.marks == "drop") return null;
      },
    });
    tell(cometd.registerExtension("one", extension("1")) + "");
    tell(cometd.registerExtension("two", extension("2")) + "");
    tell("again " + cometd.registerExtension("two", extension("3")));
    await step((done) => cometd.handshake(done));
    await step((done) => cometd.subscribe("/ext", ({ data }) => tell("event " + data.marks), done));
    cometd.publish("/ext", { marks: "" });
    await until(() => story.some((line) => line.startsWith("event")));
    tell("removed " + cometd.unregisterExtension("one") + cometd.unregisterExtension("one"));
    await step((done) => cometd.disconnect(done));
    return without(story, ...META);
  },
};

for (const kind of Object.keys(KINDS)) {
  describe(`the same application on ${kind}`, () => {
    let server;
    before(async () => (server = await Server.start(kind)));
    after(() => server.kill());
    const { denies, calls } = KINDS[kind];
    for (const [name, application] of Object.entries(applications)) {
      if ((name == "calls" && !calls) || (name == "what is refused" && !denies)) continue;
      it(name, async () => {
        const theirs = await application({ ...official, kind }, server.url, server);
        const story = await application({ ...ours, kind }, server.url, server);
        assert.deepEqual(story, theirs);
        assert.ok(story.length > 2, "there is a story to compare");
      });
    }
  });
}
