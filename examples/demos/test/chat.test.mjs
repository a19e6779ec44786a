/* The chat: members, what is said to all and to one, and those who leave or vanish. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TRANSPORTS, hasText, isConnected, openWindow, startBrowser, startDemo } from "./support/demo.mjs";

const MEMBER = "#members button";
let demo, chromium, lastName = 0;
before(async () => {
  [demo, chromium] = await Promise.all([startDemo({ settings: { "broker.max_interval": "2s" } }), startBrowser()]);
});
after(async () => {
  await chromium.stop();
  await demo.stop();
});

/** The room is one for all tests, so that names are used once. */
const enter = async (browser, origin, transport, name = `Guest ${++lastName}`) => {
  const page = await openWindow(browser, `${origin}/chat.html`, { transport });
  page.own = name;
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await hasText(page, MEMBER, `${name} (you)`);
  return page;
};
const say = async (page, text) => {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
};
const member = (page, name) => page.locator(MEMBER).getByText(name, { exact: true });

describe("the chat", { concurrency: 2 }, () => {
  for (const [transport, way] of Object.entries(TRANSPORTS)) {
    it(`knows who is here, and who is spoken to, from two origins: ${way}`, async () => {
      const { browser } = chromium;
      const [ann, ben, cem] = await Promise.all([demo.here, demo.there, demo.there].map((origin) => enter(browser, origin, transport)));
      for (const page of [ann, ben, cem]) for (const other of [ann, ben, cem]) await hasText(page, MEMBER, new RegExp(`^${other.own}( \\(you\\))?$`));
      await hasText(ben, ".notice", `${ann.own} joined`);

      await say(ann, `from ${ann.own}: <i>grüß dich</i> 🎈`);
      for (const page of [ann, ben, cem]) await hasText(page, ".message:not(.private) p", `from ${ann.own}: <i>grüß dich</i> 🎈`);
      assert.equal(await ben.locator("#messages i").count(), 0, "text stays text");

      await member(ann, ben.own).click();
      await hasText(ann, "#to span", `To ${ben.own} alone`);
      await say(ann, `a secret of ${ann.own}`);
      for (const page of [ann, ben]) await hasText(page, ".message.private p", `a secret of ${ann.own}`);
      await ann.click("#to button");
      await say(ann, `${ann.own} is done`);
      await hasText(cem, ".message p", `${ann.own} is done`);
      assert.equal(await cem.getByText(`a secret of ${ann.own}`).count(), 0, "a private message is for one");

      await ben.click("#leave");
      for (const page of [ann, cem]) await hasText(page, ".notice", `${ben.own} left`);
      await ann.waitForFunction((name) => ![...document.querySelectorAll("#members button")].some(({ textContent }) => textContent === name), ben.own);
      await cem.close({ runBeforeUnload: false });
      await hasText(ann, ".notice", new RegExp(`^${cem.own} (left|timed out)$`));

      for (const page of [ann, ben]) assert.deepEqual(page.problems, []);
      for (const page of [ann, ben, cem]) await page.context().close();
    });
  }

  it("notices whoever vanishes without a word, over every transport", async () => {
    const [watcher, doomed] = [await enter(chromium.browser, demo.here, "websocket"), await startBrowser()];
    const guests = await Promise.all(Object.keys(TRANSPORTS).map((transport) => enter(doomed.browser, demo.there, transport)));
    for (const { own } of guests) await hasText(watcher, MEMBER, own);
    await doomed.kill();
    for (const { own } of guests) {
      await hasText(watcher, ".notice", `${own} timed out`);
      assert.equal(await member(watcher, own).count(), 0);
    }
    await watcher.context().close();
  });

  it("says goodbye for a page that goes away, over every transport", async () => {
    const watcher = await enter(chromium.browser, demo.here, "long-polling");
    for (const transport of Object.keys(TRANSPORTS)) {
      const guest = await enter(chromium.browser, demo.there, transport);
      await guest.goto("about:blank");
      await hasText(watcher, ".notice", `${guest.own} left`);
      await guest.context().close();
    }
    await watcher.context().close();
  });

  it("keeps a place over a reload, and the session over a change of the transport", async () => {
    const page = await enter(chromium.browser, demo.here, "websocket");
    await say(page, `before ${page.own}`);
    await hasText(page, ".own p", `before ${page.own}`);
    await page.reload();
    await hasText(page, MEMBER, `${page.own} (you)`);
    await hasText(page, ".message p", `before ${page.own}`);
    await page.click("#transports label:has([value=long-polling])");
    await isConnected(page, "long-polling");
    await say(page, `after ${page.own}`);
    await hasText(page, ".own p", `after ${page.own}`);
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("gives a newcomer what was said", async () => {
    const page = await enter(chromium.browser, demo.here, "websocket");
    await say(page, `history of ${page.own}`);
    await hasText(page, ".own p", `history of ${page.own}`);
    const late = await openWindow(chromium.browser, `${demo.there}/chat.html`, { transport: "callback-polling" });
    await hasText(late, ".message p", `history of ${page.own}`);
    await hasText(late, MEMBER, page.own);
    assert.ok(await late.isDisabled("#text"), "who has not joined cannot speak");
    await Promise.all([page, late].map((each) => each.context().close()));
  });

  it("knows no two members of one name, and nobody under a wrong one", async () => {
    const { browser } = chromium;
    const ann = await enter(browser, demo.here, "websocket");
    const other = await openWindow(browser, `${demo.here}/chat.html`);
    await other.fill("#name", ann.own.toUpperCase());
    await other.press("#name", "Enter");
    await hasText(other, "#notice", `${ann.own} is here already`);
    const attempts = await other.evaluate(async () => {
      const { client } = await import("./demo.js");
      const publish = (channel, data) => client.publish(channel, data).catch(({ message }) => message);
      return [
        await publish("/chat/room", { text: "I am nobody" }),
        await publish("/chat/members", { members: [] }),
        (await client.call("chat/private", { to: "x", text: "y" })).why,
      ];
    });
    assert.deepEqual(attempts, ["403:join first:publish_denied", "403:only the backend publishes here:publish_denied", "join first"]);
    await ann.evaluate(async () => {
      const { client } = await import("./demo.js");
      await client.publish("/chat/room", { text: "in disguise", from: { id: "0", name: "The boss" } });
    });
    await hasText(other, ".message p", "in disguise");
    const author = other.locator(".message", { hasText: "in disguise" }).locator("b");
    assert.equal(await author.textContent(), ann.own);
    await Promise.all([ann, other].map((each) => each.context().close()));
  });

  it("hears any program that publishes", async () => {
    const page = await openWindow(chromium.browser, `${demo.there}/chat.html`);
    const message = { channel: "/chat/room", data: { notice: "hello from a program" } };
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${demo.here}/bayeux`, { method: "POST", headers, body: JSON.stringify(message) });
    assert.deepEqual(await answer.json(), [{ channel: "/chat/room", successful: true }]);
    await hasText(page, ".notice", "hello from a program");
    await page.context().close();
  });
});
