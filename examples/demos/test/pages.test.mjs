/* All pages: at home and from the other origin, on a desktop and a phone, light and dark, without a mouse. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import { PAGES, TRANSPORTS, hasText, openWindow, startBrowser, startDemo } from "./support/demo.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 375, height: 740 } };

/** Pages that begin empty have something on them to be looked at. */
const fill = {
  async calls(page) {
    await page.fill("#delay", "0");
    await page.click("#ask button");
    await page.click("#failing");
    for (const outcome of [".answered .outcome", ".failed .outcome"]) await hasText(page, outcome, /ms/);
  },
  async chat(page) {
    const name = `Guest ${page.viewportSize().width}`;
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await hasText(page, "#members button", `${name} (you)`);
    await page.fill("#text", "hello");
    await page.press("#text", "Enter");
    await hasText(page, ".own p", "hello");
    const said = [0, 1, 2, 3, 4].map((colour) => ({ channel: "/chat/room", data: { from: { id: `${colour}`, name: "Colour", colour }, text: `${colour} ${name}`, at: 0 } }));
    await fetch(`${demo.here}/bayeux`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said) });
    await hasText(page, ".message p", `4 ${name}`);
  },
};

let demo, chromium;
before(async () => {
  [demo, chromium] = await Promise.all([startDemo(), startBrowser()]);
});
after(async () => {
  await chromium.stop();
  await demo.stop();
});

describe("every page", { concurrency: 2 }, () => {
  for (const name of PAGES) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      it(`fits and can be read by everybody: ${name}, ${size}`, async () => {
        const page = await openWindow(chromium.browser, `${demo.there}/${name}.html`, { viewport, transport: null, reducedMotion: "reduce" });
        await fill[name]?.(page);
        await page.evaluate(AXE);
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          for (const details of await page.locator("details:not([open]) > summary").all()) await details.press("Enter");
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(wide <= 0, `${wide} px too wide`);
          const { violations } = await page.evaluate(() => axe.run());
          const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} ${target}: ${failureSummary}`));
          assert.deepEqual(found, [], colorScheme);
        }
        assert.deepEqual(page.problems, []);
        await page.context().close();
      });
    }

    it(`is served alike from both origins: ${name}`, async () => {
      const [here, there] = await Promise.all([demo.here, demo.there].map((origin) => openWindow(chromium.browser, `${origin}/${name}.html`, { transport: null })));
      assert.equal(await here.title(), await there.title());
      assert.match(await here.title(), /bayeuxd demos$/);
      await hasText(here, "#route", `page and broker at ${new URL(demo.here).host}`);
      await hasText(there, "#route", `page from ${new URL(demo.there).host}, broker at ${new URL(demo.here).host}`);
      const links = await there.locator("a[href]").evaluateAll((all) => all.map(({ href }) => href));
      for (const link of new Set(links)) assert.equal((await fetch(link)).status, 200, link);
      for (const page of [here, there]) {
        assert.deepEqual(page.problems, []);
        await page.context().close();
      }
    });
  }

  it("can be used without a mouse, the transport too", async () => {
    const page = await openWindow(chromium.browser, `${demo.here}/`, { transport: null });
    for (let tries = 0; tries < 20 && (await page.evaluate(() => document.activeElement.name)) !== "transport"; tries++) await page.keyboard.press("Tab");
    for (const transport of ["long-polling", "callback-polling"]) {
      await page.keyboard.press("ArrowRight");
      await hasText(page, "#state", `connected · ${TRANSPORTS[transport]}`);
    }
    await page.locator("nav a", { hasText: "Counter" }).press("Enter");
    await page.waitForURL(/counter\.html\?transport=callback-polling$/);
    await hasText(page, "#state", "connected · JSONP");
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("tells where the pages are, and shows the counter alive", async () => {
    const page = await openWindow(chromium.browser, `${demo.there}/`, { transport: "callback-polling" });
    for (const origin of [demo.here, demo.there]) await hasText(page, "#origins li > :first-child", origin);
    const shown = await page.textContent("#live");
    await page.waitForFunction((shown) => document.querySelector("#live").textContent !== shown, shown);
    assert.match(await page.textContent("#curl"), new RegExp(`^curl ${demo.here}/bayeux `));
    await page.context().close();
  });

  it("says when the connection is lost, and comes back by itself", async () => {
    const page = await openWindow(chromium.browser, `${demo.there}/counter.html`, { transport: "long-polling" });
    await page.context().setOffline(true);
    await hasText(page, "#state", /^reconnecting/);
    await page.context().setOffline(false);
    await hasText(page, "#state", /^connected/);
    const { length } = page.problems.filter((problem) => !problem.includes("ERR_INTERNET_DISCONNECTED"));
    assert.equal(length, 0, String(page.problems));
    await page.context().close();
  });
});
