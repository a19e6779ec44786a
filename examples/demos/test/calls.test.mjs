/* Calls: several at once, each with its own answer, a timeout and an error among them. */
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

describe("calls", { concurrency: 3 }, () => {
  const ways = Object.entries(TRANSPORTS).flatMap(([transport, name]) => [["here", transport, name], ["there", transport, name]]);
  for (const [origin, transport, name] of ways) {
    it(`are answered one by one: ${name} from ${origin === "here" ? "the broker's origin" : "another origin"}`, async () => {
      const page = await openWindow(chromium.browser, `${demo[origin]}/calls.html`, { transport });
      await page.evaluate(() => {
        window.outcomes = [];
        new MutationObserver((changes) => {
          for (const { target } of changes) if (target.className === "outcome") outcomes.push(target.textContent);
        }).observe(document.querySelector("#calls"), { childList: true, subtree: true });
      });
      // In one go: on a busy machine some would be answered before the last were asked.
      const flying = await page.evaluate(() => {
        for (const id of ["slow", "failing", "three"]) document.getElementById(id).click();
        return document.querySelector("#flying").textContent;
      });
      assert.equal(flying, "5 in flight");
      await page.waitForFunction(() => outcomes.length === 5);
      const outcomes = await page.evaluate(() => outcomes);
      const at = (pattern) => outcomes.findIndex((outcome) => pattern.test(outcome));
      assert.ok(at(/^“fastest” · \d+ ms, \d+ on the way$/) >= 0, String(outcomes));
      assert.ok(at(/^“fastest”/) < at(/^“in between”/), String(outcomes));
      assert.ok(at(/^“in between”/) < at(/^“slowest”/), String(outcomes));
      assert.ok(at(/^502:status 500:backend_failed · \d+ ms$/) >= 0, String(outcomes));
      const late = /^408::timeout · (\d+) ms$/.exec(outcomes[at(/^408/)]);
      assert.ok(late && late[1] >= 2990, String(outcomes));
      assert.equal(await page.textContent("#flying"), "");
      assert.deepEqual(await page.locator("#calls > li").evaluateAll((rows) => rows.map((row) => row.className)), [
        "answered", "answered", "answered", "failed", "failed",
      ]);
      assert.deepEqual(page.problems, []);
      await page.context().close();
    });
  }

  it("survive a change of the transport", async () => {
    const page = await openWindow(chromium.browser, `${demo.there}/calls.html`);
    await page.fill("#text", "grüß dich <b>🎈</b>");
    await page.fill("#delay", "1500");
    await page.keyboard.press("Tab");
    await page.press("#text", "Enter");
    await hasText(page, "#flying", "1 in flight");
    // The broker has it once the backend was asked: a little later is certainly before the answer.
    await page.waitForTimeout(300);
    await page.click("#transports label:has([value=callback-polling])");
    await hasText(page, ".answered .outcome", /^“grüß dich <b>🎈<\/b>” · \d+ ms/);
    assert.equal(await page.locator("#calls b").count(), 0, "text stays text");
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("that ask for nonsense are refused", async () => {
    const page = await openWindow(chromium.browser, `${demo.here}/calls.html`);
    const ask = (data) =>
      page.evaluate(async (data) => {
        const { client } = await import("./demo.js");
        return client.call("echo", data).catch(({ message }) => message);
      }, data);
    for (const data of [null, [], { text: 5 }, { text: "x", delay: -1 }, { text: "x", delay: 1e9 }, { text: "x", delay: true }]) {
      assert.equal(await ask(data), "502:status 422:backend_failed", JSON.stringify(data));
    }
    assert.deepEqual(await ask({ text: "x" }), { echo: "x", slept: 0 });
    await page.context().close();
  });
});
