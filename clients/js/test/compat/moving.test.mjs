/* The chats of test/apps, first as they are, then with one import changed: what the users see must be the same. In Node. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { adapt } from "cometd-nodejs-client";
import WebSocket from "ws";
import { inNode } from "../support/application.mjs";
import { until } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

// The official CometD client needs a `window`.
adapt();

for (const kind of Object.keys(KINDS)) {
  const { transports, calls, denies } = KINDS[kind];
  describe(`chats on ${kind}`, () => {
    let server;
    before(async () => (server = Object.assign(await Server.start(kind), { calls, denies })));
    after(() => server.stop());

    it("written for CometD", async () => {
      const prepare = (cometd) => transports.includes("websocket") || cometd.unregisterTransport("websocket");
      const spend = async (library) => {
        const { afternoon } = await inNode("cometd-chat", "cometd", library);
        return afternoon({ options: { url: server.url, WebSocket }, server, until, prepare });
      };
      const theirs = await spend("cometd");
      const ours = await spend("@bayeuxd/client/compat/cometd");
      assert.deepEqual(ours, theirs);
      assert.ok(theirs.counted && theirs.ann.length > 15, "there is a story to compare");
    });

    it("written for Faye", async (t) => {
      if (kind == "cometd") return t.skip("Faye's own client loses sessions on cometd-nodejs-server");
      const spend = async (library, options) => {
        const { afternoon } = await inNode("faye-chat", "faye", library);
        return afternoon({ options: { url: server.url, retry: 0.05, ...options }, server, until });
      };
      const theirs = await spend("faye");
      const ours = await spend("@bayeuxd/client/compat/faye", { WebSocket });
      assert.deepEqual(ours, theirs);
      assert.ok(theirs.ann.length > 7, "there is a story to compare");
    });
  });
}
