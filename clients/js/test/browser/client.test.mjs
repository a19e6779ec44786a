/* The client in Chromium: as one file, as modules, in a worker; kills and restarts of the server among it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { launch, openPage, servePages } from "../support/browser.mjs";
import { until as untilHere } from "../support/fake.mjs";
import { KINDS, Server } from "../support/servers.mjs";

let browser, pages;
before(async () => {
  [browser, pages] = await Promise.all([launch(), servePages()]);
});
after(async () => {
  await browser.close();
  await pages.stop();
});

/** Makes a client in the page: `window.client`, `window.heard`, `window.states`. */
const makeClient = (page, type, url = "/bayeux", channel = "/page/*") =>
  page.evaluate(
    async ([type, url, channel]) => {
      const { Client, websocket, longPolling, callbackPolling } = window.bayeux;
      const make = { websocket, "long-polling": longPolling, "callback-polling": callbackPolling };
      window.client = new Client(url, { transports: [make[type]()], backoff: 50, backoffMax: 200 });
      window.heard = [];
      window.states = [];
      client.on("state", ({ state }) => states.at(-1) != state && states.push(state));
      client.subscribe(channel, ({ data }) => heard.push(data));
      await client.connect();
    },
    [type, url, channel],
  );
/** Leaves a page that disconnects when it is left, and sees the message come. */
const saysGoodbye = async (page, type) => {
  await makeClient(page, type);
  const clientId = await page.evaluate(() => {
    addEventListener("pagehide", () => client.disconnect());
    return client.clientId;
  });
  await page.goto("about:blank");
  const goodbye = (body) => body.includes("/meta/disconnect") && body.includes(clientId);
  await untilHere(() => pages.posted.map(decodeURIComponent).some(goodbye));
  await page.close();
};
const until = (page, condition) => page.waitForFunction(condition, undefined, { timeout: 60_000 });

for (const [kind, { transports }] of Object.entries(KINDS)) {
  describe(`${kind} in Chromium`, () => {
    let server;
    before(async () => {
      server = await Server.start(kind);
      pages.port = server.port;
    });
    after(() => server.stop());

    for (const type of transports) {
      it(`${type}: hears itself, survives a killed server, disconnects`, async () => {
        const page = await openPage(browser, pages.url, "/dist/browser/bayeux.js");
        await makeClient(page, type);
        await page.evaluate(() => client.publish("/page/a", "grüß dich 🎈"));
        await until(page, () => heard.length == 1);
        await server.kill();
        await until(page, () => client.state == "reconnecting");
        const during = page.evaluate(() => client.publish("/page/other", "during"));
        await server.start();
        await during;
        await until(page, () => client.state == "connected");
        await page.evaluate(() => client.publish("/page/a", "after"));
        await until(page, () => heard.includes("after"));
        assert.deepEqual(await page.evaluate(() => [states, heard[0], client.transport]), [
          ["connecting", "connected", "reconnecting", "connected"],
          "grüß dich 🎈",
          type,
        ]);
        await page.evaluate(() => client.disconnect());
        assert.deepEqual(page.errors, []);
        await page.close();
      });
    }

    it("as modules, iterating, in a page and in a worker", async () => {
      const page = await openPage(browser, pages.url);
      const type = transports[0];
      const run = async (type, url) => {
        const { Client, websocket, longPolling } = await import("/dist/esm/index.js");
        const client = new Client(url, { transports: [type == "websocket" ? websocket() : longPolling()] });
        await client.connect();
        const subscription = client.subscribe("/module/*");
        await subscription.ready;
        for (let n = 0; n < 20; n++) client.publish("/module/x", n);
        const seen = [];
        for await (const { data } of subscription) if (seen.push(data) == 20) break;
        await client.disconnect();
        return seen;
      };
      const expected = Array.from({ length: 20 }, (_, n) => n);
      // A worker made from text has no address of its own, so the client gets the whole URL.
      const url = pages.url + "/bayeux";
      assert.deepEqual(await page.evaluate(`(${run})(${JSON.stringify(type)}, "/bayeux")`), expected);
      const inWorker = await page.evaluate(
        ([run, type, url, origin]) =>
          new Promise((resolve, reject) => {
            const code = `(${run.replace('"/dist', `"${origin}/dist`)})(${JSON.stringify(type)}, ${JSON.stringify(url)}).then(postMessage)`;
            const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = ({ message }) => reject(new Error(message));
          }),
        [String(run), type, url, pages.url],
      );
      assert.deepEqual(inWorker, expected);
      assert.deepEqual(page.errors, []);
      await page.close();
    });

    // Faye's server ends when a JSONP poll was cut and is then to be answered.
    if (kind == "bayeuxd") {
      it("callback-polling: a page that goes away can still say goodbye", async () => {
        const leaving = await openPage(browser, pages.url, "/dist/browser/bayeux.js");
        await saysGoodbye(leaving, "callback-polling");
        assert.deepEqual(leaving.errors, []);
      });
    }

    if (kind != "cometd") {
      for (const type of [...transports, "callback-polling"]) {
        it(`${type} from a page of another origin`, async () => {
          const page = await openPage(browser, pages.url, "/dist/browser/bayeux.js");
          await makeClient(page, type, server.url);
          await page.evaluate(() => client.publish("/page/cross", "over there"));
          await until(page, () => heard.length == 1);
          await page.evaluate(() => client.disconnect());
          assert.equal(await page.evaluate(() => document.querySelectorAll("script[src*=jsonp]").length), 0);
          assert.deepEqual(page.errors, []);
          await page.close();
        });
      }
    }
  });
}

describe("the browser's own events", () => {
  let server;
  before(async () => {
    server = await Server.start("faye");
    pages.port = server.port;
  });
  after(() => server.stop());

  it("being back online ends the wait at once", async () => {
    const page = await openPage(browser, pages.url, "/dist/browser/bayeux.js");
    await page.evaluate(async () => {
      const { Client, longPolling } = window.bayeux;
      // A wait of an hour: only the event can end it.
      window.client = new Client("/bayeux", { transports: [longPolling()], backoff: 3_600_000, backoffMax: 3_600_000 });
      await client.connect();
    });
    await page.context().setOffline(true);
    await page.evaluate(() => client.publish("/a", 1).catch(() => {}));
    await until(page, () => client.state == "reconnecting");
    await page.context().setOffline(false);
    await until(page, () => client.state == "connected");
    await page.evaluate(() => client.disconnect());
    await page.close();
  });

  it("a page that goes away can still say goodbye", async () => {
    const leaving = await openPage(browser, pages.url, "/dist/browser/bayeux.js");
    await saysGoodbye(leaving, "long-polling");
  });

  it("a page that polls by JSONP from its first moment is loaded all the same", async () => {
    const page = await browser.newPage();
    const body = `<!doctype html><link rel=icon href=data:,><script src="/dist/browser/bayeux.js"></script><script>
      window.heard = [];
      window.client = new bayeux.Client("/bayeux", { transports: [bayeux.callbackPolling()] });
      client.subscribe("/early", ({ data }) => heard.push(data));
      client.connect();
      </script><img src="/slow.png" alt="">`;
    await page.route("**/early.html", (route) => route.fulfill({ contentType: "text/html", body }));
    // It keeps the page from being loaded until the client has come to the poll that is held.
    const connected = page.waitForResponse((response) => response.url().includes("connectionType"));
    await page.route("**/slow.png", async (route) => {
      await connected;
      await route.fulfill({ status: 404 });
    });
    await page.goto(pages.url + "/early.html", { timeout: 15_000 });
    await page.evaluate(() => client.publish("/early", "bird"));
    await until(page, () => heard.includes("bird"));
    await page.evaluate(() => client.disconnect());
    await page.close();
  });
});
