/* The packed package in a page: each of its one-file builds by `<script>`, from where npm has put it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { launch, openPage, servePages } from "../support/browser.mjs";
import { installPackage } from "../support/package.mjs";

let browser, pages, installed;
before(async () => {
  [browser, pages, installed] = await Promise.all([launch(), servePages(), installPackage()]);
});
after(async () => {
  await browser.close();
  await pages.stop();
  await installed.remove();
});

for (const [file, makes] of [
  ["bayeux", () => new bayeux.Client("/bayeux", { transports: [bayeux.websocket(), bayeux.longPolling(), bayeux.callbackPolling()] }).state],
  ["cometd", () => new org.cometd.CometD().getStatus()],
  ["faye", () => new Faye.Client("/bayeux") && "disconnected"],
]) {
  it(`${file}.js by a script element`, async () => {
    const page = await openPage(browser, pages.url);
    await page.addScriptTag({ path: join(installed.folder, "node_modules/@bayeuxd/client/dist/browser", `${file}.js`) });
    assert.equal(await page.evaluate(makes), "disconnected");
    assert.deepEqual(page.errors, []);
    await page.close();
  });
}
