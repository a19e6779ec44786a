/*
 * The compatibility layers in Chromium: as one file each, under the global names that existing pages use, and in the chats
 * of test/apps, which run as they are and with one import changed.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { forPage } from "../support/application.mjs";
import { launch, openPage, servePages } from "../support/browser.mjs";
import { KINDS, Server } from "../support/servers.mjs";

let browser, pages, server;
before(async () => {
  [browser, pages, server] = await Promise.all([launch(), servePages(), Server.start("faye")]);
  pages.port = server.port;
});
after(async () => {
  await browser.close();
  await pages.stop();
  await server.stop();
});
beforeEach(() => (pages.port = server.port));
const until = (page, condition) => page.waitForFunction(condition, undefined, { timeout: 60_000 });

describe("org.cometd", () => {
  /** A small chat in the style of CometD's tutorial. */
  const chat = () => {
    const cometd = (window.cometd = new org.cometd.CometD());
    cometd.registerExtension("reload", new org.cometd.ReloadExtension());
    window.log = [];
    let connected = false;
    cometd.addListener("/meta/connect", ({ successful }) => {
      if (connected != successful) log.push(successful ? "connection up" : "connection down");
      connected = successful;
    });
    cometd.addListener("/meta/handshake", ({ successful, reestablish }) => {
      if (!successful) return;
      log.push("handshake " + !!reestablish);
      cometd.batch(() => {
        cometd.subscribe("/chat/demo", ({ data }) => log.push(`${data.user}: ${data.chat}`));
        cometd.publish("/chat/demo", { user: "me", chat: "has joined" });
      });
    });
    cometd.init({ url: location.origin + "/bayeux", logLevel: "warn", backoffIncrement: 50, maxBackoff: 200 });
  };

  it("runs a chat through a restart of the server", async () => {
    const page = await openPage(browser, pages.url, "/dist/browser/cometd.js");
    await page.evaluate(chat);
    await until(page, () => log.includes("me: has joined"));
    await until(page, () => log.includes("connection up"));
    await server.kill();
    await until(page, () => log.includes("connection down"));
    await server.start();
    await until(page, () => log.filter((line) => line == "me: has joined").length == 2);
    await page.evaluate(() => cometd.publish("/chat/demo", { user: "me", chat: "still here" }));
    await until(page, () => log.includes("me: still here"));
    assert.equal(await page.evaluate(() => log.filter((line) => line == "me: still here").length), 1);
    await page.evaluate(() => new Promise((resolve) => cometd.disconnect(resolve)));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  it("keeps its session over a reload of the page", async () => {
    const page = await openPage(browser, pages.url, "/dist/browser/cometd.js");
    await page.evaluate(chat);
    await until(page, () => log.includes("connection up"));
    const clientId = await page.evaluate(() => {
      const clientId = cometd.getClientId();
      cometd.reload();
      return clientId;
    });
    await page.reload();
    await page.addScriptTag({ url: "/dist/browser/cometd.js" });
    await page.evaluate(chat);
    await until(page, () => log.includes("connection up"));
    assert.equal(await page.evaluate(() => cometd.getClientId()), clientId);
    await until(page, () => log.includes("me: has joined"));
    await page.evaluate(() => new Promise((resolve) => cometd.disconnect(resolve)));
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

describe("Faye", () => {
  it("runs through a restart of the server", async () => {
    const page = await openPage(browser, pages.url, "/dist/browser/faye.js");
    await page.evaluate(async () => {
      window.client = new Faye.Client("/bayeux", { retry: 0.1 });
      window.log = [];
      client.on("transport:down", () => log.push("down"));
      client.on("transport:up", () => log.push("up"));
      await client.subscribe("/messages", ({ text }) => log.push(text));
      await client.publish("/messages", { text: "one" });
    });
    await until(page, () => log.includes("one") && log.includes("up"));
    await server.kill();
    await until(page, () => log.includes("down"));
    const published = page.evaluate(() => client.publish("/messages", { text: "two" }).then(() => {}));
    await server.start();
    await published;
    await until(page, () => log.includes("two"));
    await page.evaluate(() => client.disconnect().then(() => {}));
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

// In Node they run on every server; here on one that has everything.
for (const kind of [KINDS.bayeuxd ? "bayeuxd" : "faye"]) {
  describe(`chats on ${kind}, in a page`, () => {
    const { transports, calls, denies } = KINDS[kind];
    let behind;
    before(async () => (behind = await Server.start(kind)));
    beforeEach(() => (pages.port = behind.port));
    after(() => behind.stop());

    /** An afternoon of the chat with one library; see test/apps. */
    const spend = async (name, from, to, options) => {
      const page = await openPage(browser, pages.url);
      await page.exposeFunction("kill", () => behind.kill());
      await page.exposeFunction("start", () => behind.start());
      await page.addScriptTag({ content: await forPage(name, from, to) });
      const story = await page.evaluate(
        async ([options, abilities, websocket]) => {
          const until = async (condition, what) => {
            for (const deadline = performance.now() + 60_000; !condition(); ) {
              if (performance.now() > deadline) throw new Error("never happened: " + what());
              await new Promise((resolve) => setTimeout(resolve, 5));
            }
          };
          const prepare = (cometd) => websocket || cometd.unregisterTransport("websocket");
          return application.afternoon({ options, server: { kill, start, ...abilities }, until, prepare });
        },
        [options, { calls, denies }, transports.includes("websocket")],
      );
      assert.deepEqual(page.errors, []);
      await page.close();
      return story;
    };

    it("written for CometD", async () => {
      const theirs = await spend("cometd-chat", "cometd", "cometd", { url: pages.url + "/bayeux" });
      const ours = await spend("cometd-chat", "cometd", "@bayeuxd/client/compat/cometd", { url: pages.url + "/bayeux" });
      assert.deepEqual(ours, theirs);
      assert.ok(theirs.counted && theirs.ann.length > 15, "there is a story to compare");
    });

    it("written for Faye", async () => {
      const options = { url: pages.url + "/bayeux", retry: 0.05 };
      const theirs = await spend("faye-chat", "faye", "faye", options);
      const ours = await spend("faye-chat", "faye", "@bayeuxd/client/compat/faye", options);
      assert.deepEqual(ours, theirs);
      assert.ok(theirs.ann.length > 7, "there is a story to compare");
    });
  });
}
