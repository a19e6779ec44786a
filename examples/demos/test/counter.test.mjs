/* The counter: one number in all windows, whoever starts, stops or resets it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TRANSPORTS, hasText, openWindow, startBrowser, startDemo } from "./support/demo.mjs";

let demo, chromium;
before(async () => {
  [demo, chromium] = await Promise.all([startDemo(), startBrowser()]);
});
after(async () => {
  await chromium.stop();
  await demo.stop();
});

const shown = async (page) => Number(await page.textContent("#count"));
const stopped = (page) => page.waitForSelector("#dial[data-running=false]");

describe("the counter", () => {
  for (const [transport, name] of Object.entries(TRANSPORTS)) {
    it(`is the same in two windows, of two origins: ${name}`, async () => {
      const open = (origin) => openWindow(chromium.browser, `${origin}/counter.html`, { transport });
      const [one, two] = await Promise.all([demo.here, demo.there].map(open));
      await hasText(two, "#toggle", "Stop");
      await two.click("label:has([value='20'])");
      await hasText(one, "#mood", "20 a second");
      await hasText(one, "#received", /^\d{2,}$/);

      await one.click("#toggle");
      await Promise.all([one, two].map(stopped));
      const count = await shown(one);
      assert.ok(count > 0);
      assert.equal(await shown(two), count);
      assert.equal(await one.textContent("#position"), await two.textContent("#position"), "it is the same message");

      const late = await open(demo.there);
      await hasText(late, "#count", count);
      await late.click("#reset");
      for (const page of [one, two, late]) await hasText(page, "#count", "0");
      await two.click("#toggle");
      for (const page of [one, two, late]) await hasText(page, "#count", /^[1-9]/);

      for (const page of [one, two, late]) assert.deepEqual(page.problems, []);
      for (const page of [one, two, late]) await page.context().close();
    });
  }

  it("goes on while the transport changes, in the same session", async () => {
    const page = await openWindow(chromium.browser, `${demo.there}/counter.html`);
    const sessions = [];
    page.on("request", (request) => sessions.push(.../"clientId":"([^"]+)"/.exec(decodeURIComponent(request.url()) + request.postData())?.slice(1) ?? []));
    for (const [transport, name] of [["long-polling", "Long-polling"], ["callback-polling", "JSONP"], ["websocket", "WebSocket"], ["long-polling", "Long-polling"]]) {
      await page.click(`#transports label:has([value=${transport}])`);
      await hasText(page, "#state", `connected · ${name}`);
      const count = await shown(page);
      await page.waitForFunction((count) => Number(document.querySelector("#count").textContent) > count, count);
      assert.equal(new URL(page.url()).searchParams.get("transport"), transport);
      assert.match(await page.getAttribute("nav a[href*=chat]", "href"), new RegExp(`transport=${transport}`));
    }
    assert.ok(sessions.length > 3);
    assert.equal(new Set(sessions).size, 1, "polls before and after the WebSocket are of one session");
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("cannot be moved by a page that publishes", async () => {
    const page = await openWindow(chromium.browser, `${demo.here}/counter.html`);
    const refusal = await page.evaluate(async () => {
      const { client } = await import("./demo.js");
      return client.publish("/counter", { count: 1_000_000 }).catch(({ message }) => message);
    });
    assert.equal(refusal, "403:only the backend publishes here:publish_denied");
    await page.context().close();
  });
});
