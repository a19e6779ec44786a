/* The drawing: the same picture in every window, however it was drawn and whenever somebody came. */
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

const open = (origin, transport, context) => openWindow(chromium.browser, `${origin}/drawing.html`, { transport, ...context });
const picture = (page) => page.evaluate(() => document.querySelector("#paper").toDataURL());
/** Everything of this window has come back: nothing is drawn above the sheet any more. */
const settled = (page) =>
  page.waitForFunction(() => {
    const above = document.querySelector("#pen");
    // A copy: reading from the page's own canvas would make it a slow one.
    window.copy ??= Object.assign(document.createElement("canvas"), { width: 200, height: 150 }).getContext("2d", { willReadFrequently: true });
    copy.clearRect(0, 0, 200, 150);
    copy.drawImage(above, 0, 0, 200, 150);
    return copy.getImageData(0, 0, 200, 150).data.every((value) => value === 0);
  });
const strokes = (page, count) => hasText(page, "#strokes", count === 1 ? "1 stroke on the sheet." : count ? `${count} strokes on the sheet.` : "The sheet is empty.");

/** Whether there is something on the sheet at these places, given in shares of it. */
const inked = (page, places) =>
  page.evaluate((places) => {
    const paper = document.querySelector("#paper");
    const copy = Object.assign(document.createElement("canvas"), { width: paper.width, height: paper.height }).getContext("2d", { willReadFrequently: true });
    copy.drawImage(paper, 0, 0);
    return places.map(([x, y]) => copy.getImageData(Math.round(paper.width * x), Math.round(paper.height * y), 1, 1).data[3] > 0);
  }, places);

/** With the mouse, from one place to another, in shares of the sheet. */
const draw = async (page, [x1, y1], [x2, y2]) => {
  await page.locator("#pen").scrollIntoViewIfNeeded();
  const { x, y, width, height } = await page.locator("#pen").boundingBox();
  await page.mouse.move(x + width * x1, y + height * y1);
  await page.mouse.down();
  await page.mouse.move(x + width * x2, y + height * y2, { steps: 25 });
  await page.mouse.up();
};

const isTheSame = async (pages) => {
  const pictures = [];
  for (const page of pages) {
    await settled(page);
    pictures.push(await picture(page));
  }
  for (const other of pictures) assert.ok(other === pictures[0], "all windows show the same picture");
  return pictures[0];
};

describe("the drawing", () => {
  for (const [transport, name] of Object.entries(TRANSPORTS)) {
    it(`is one for all, from two origins: ${name}`, async () => {
      const [one, two] = await Promise.all([open(demo.here, transport), open(demo.there, transport)]);
      await Promise.all([one, two].map((page) => strokes(page, 0)));
      const empty = await picture(one);
      await Promise.all([draw(one, [0.1, 0.2], [0.8, 0.7]), draw(two, [0.2, 0.9], [0.7, 0.1])]);
      await Promise.all([one, two].map((page) => strokes(page, 2)));
      const both = await isTheSame([one, two]);
      assert.notEqual(both, empty);

      const late = await open(demo.there, transport);
      await strokes(late, 2);
      assert.equal(await isTheSame([late, one]), both, "who comes later sees what was drawn");

      await one.click("#undo");
      for (const page of [one, two, late]) await strokes(page, 1);
      assert.notEqual(await isTheSame([one, two, late]), both);
      assert.ok(await late.isDisabled("#undo"), "nobody takes back what others drew");
      await two.click("#clear");
      for (const page of [one, two, late]) await strokes(page, 0);
      assert.equal(await isTheSame([one, two, late]), empty);
      for (const page of [one, two, late]) {
        assert.deepEqual(page.problems, []);
        await page.context().close();
      }
    });
  }

  it("takes two fingers on a phone", async () => {
    const phone = await open(demo.there, "websocket", { viewport: { width: 375, height: 700 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    const other = await open(demo.here, "long-polling");
    const pen = phone.locator("#pen");
    await pen.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await pen.boundingBox();
    const touch = await phone.context().newCDPSession(phone);
    const at = (share, row, id) => ({ x: x + width * share, y: y + height * row, id });
    const fingers = (share) => [at(share, 0.3, 1), at(share, 0.7, 2)];
    await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: fingers(0.2) });
    for (let share = 0.2; share < 0.8; share += 0.05) await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: fingers(share) });
    await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    for (const page of [phone, other]) await strokes(page, 2);
    await settled(phone);
    await phone.waitForFunction(() => document.querySelector("#undo").disabled === false);
    assert.deepEqual(await inked(other, [[0.5, 0.3], [0.5, 0.5], [0.5, 0.7]]), [true, false, true]);
    assert.deepEqual(phone.problems, []);
    await phone.click("#clear");
    for (const page of [phone, other]) await strokes(page, 0);
    await Promise.all([phone, other].map((page) => page.context().close()));
  });

  it("can be made with the keyboard alone", async () => {
    const page = await open(demo.here, "websocket");
    for (let tries = 0; tries < 40 && (await page.evaluate(() => document.activeElement.id)) !== "pen"; tries++) await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    for (let step = 0; step < 5; step++) await page.keyboard.press("Shift+ArrowRight");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await strokes(page, 1);
    await page.click("h1"); // the pen is out of the way
    await settled(page);
    assert.deepEqual(await inked(page, [[0.5, 0.5], [0.6, 0.5], [0.4, 0.5]]), [true, true, false]);
    await page.click("#undo");
    await strokes(page, 0);
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("believes nothing that it is handed", async () => {
    const page = await open(demo.here, "websocket");
    const nonsense = [null, 5, "x", [], {}, { s: "a" }, { s: "a", c: 99, w: 0, p: [1, 2] }, { s: "a", c: 0, w: 0, p: [1, "2"] }, { s: "a", c: 0, w: 0, p: [1] },
      { s: "a", c: "constructor", w: 0, p: [1, 2] }, { s: {}, c: 0, w: 0, p: [1, 2] }, { undo: {} }, { clear: "yes" }];
    const good = { s: "far", c: 0, w: 2, p: [-5e9, 5e9, 1e300, 0] };
    const body = JSON.stringify([...nonsense, good].map((data) => ({ channel: "/drawing", data })));
    await fetch(`${demo.here}/bayeux`, { method: "POST", headers: { "content-type": "application/json" }, body });
    await strokes(page, 1);
    assert.deepEqual(page.problems, []);
    await page.click("#clear");
    await strokes(page, 0);
    await page.context().close();
  });
});
