/*
 * The pictures of the documents, taken from the running demos: one window on a desk and one on a phone, side by side.
 * Run by `npm run pictures`; writes docs/images/demos-*.png. Look at them before you commit them.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { FOLDER, hasText, openWindow, startBrowser, startDemo } from "./demo.mjs";

const IMAGES = join(FOLDER, "../../docs/images");
const DESK = { viewport: { width: 940, height: 680 }, colorScheme: "light" };
const PHONE = { viewport: { width: 375, height: 800 }, colorScheme: "dark", deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const GAP = 28;

const [demo, chromium] = await Promise.all([startDemo(), startBrowser()]);
const { browser } = chromium;

/** In the page: pixels as at most 256 colours, the commonest ones exactly, the others as the nearest of these. */
const reduce = ({ data, width, height }) => {
  const words = new Uint32Array(data.buffer);
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const parts = (word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24];
  const distance = (one, other) => one.reduce((sum, part, at) => sum + (part - other[at]) ** 2, 0);
  const byCount = [...counts].sort((one, other) => other[1] - one[1]).map(([word]) => parts(word));
  const palette = [];
  for (const colour of byCount) if (palette.length < 256 && palette.every((other) => distance(colour, other) > 150)) palette.push(colour);
  for (const colour of byCount) if (palette.length < 256 && palette.every((other) => distance(colour, other) > 0)) palette.push(colour);
  const nearest = new Map();
  for (const word of counts.keys()) {
    const distances = palette.map((colour) => distance(parts(word), colour));
    nearest.set(word, distances.indexOf(Math.min(...distances)));
  }
  let text = "";
  for (const word of words) text += String.fromCharCode(nearest.get(word));
  return { palette, indices: btoa(text), width, height };
};

/** A PNG of colours by number. */
const png = (width, height, palette, indices) => {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const chunk = (type, body) => {
    const named = Buffer.concat([Buffer.from(type, "latin1"), body]);
    let crc = 0xffffffff;
    for (const byte of named) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(body.length);
    sum.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
    return Buffer.concat([length, named, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8); // eight bits, by palette
  const rows = Buffer.alloc((width + 1) * height); // each begins with its filter: none
  for (let row = 0; row < height; row++) indices.copy(rows, row * (width + 1) + 1, row * width, (row + 1) * width);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", head),
    chunk("PLTE", Buffer.from(palette.flatMap((colour) => colour.slice(0, 3)))),
    chunk("tRNS", Buffer.from(palette.map((colour) => colour[3]))),
    chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
};

/** Puts the windows side by side, equally high, with round corners, and as small as a picture of text can be. */
const compose = async (windows) => {
  const page = await browser.newPage();
  await page.evaluate(`window.reduce = ${reduce}`);
  const shots = [];
  for (const window of windows) shots.push((await window.screenshot()).toString("base64"));
  const { palette, indices, width, height } = await page.evaluate(
    async ([shots, height, gap]) => {
      const images = await Promise.all(
        shots.map(async (shot) => {
          const image = new Image();
          image.src = `data:image/png;base64,${shot}`;
          await image.decode();
          return image;
        }),
      );
      const widths = images.map(({ width, height: high }) => Math.round((width * height) / high));
      const canvas = Object.assign(document.createElement("canvas"), { height: height + 2, width: widths.reduce((sum, width) => sum + width + gap, 2 - gap) });
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      let left = 1;
      for (const [at, image] of images.entries()) {
        context.save();
        context.beginPath();
        context.roundRect(left, 1, widths[at], height, 12);
        context.clip();
        context.drawImage(image, left, 1, widths[at], height);
        context.restore();
        context.strokeStyle = "rgb(128 128 128 / 45%)";
        context.stroke();
        left += widths[at] + gap;
      }
      return window.reduce(context.getImageData(0, 0, canvas.width, canvas.height));
    },
    [shots, DESK.viewport.height, GAP],
  );
  await page.close();
  return png(width, height, palette, Buffer.from(indices, "base64"));
};

const take = async (name, prepare = () => {}) => {
  const desk = await openWindow(browser, `${demo.here}/${name}.html`, { ...DESK, transport: null });
  const phone = await openWindow(browser, `${demo.there}/${name}.html`, { ...PHONE, transport: "long-polling" });
  await prepare(desk, phone);
  const file = join(IMAGES, `demos-${name === "index" ? "start" : name}.png`);
  const picture = await compose([desk, phone]);
  await writeFile(file, picture);
  console.log(file, `${Math.ceil(picture.length / 1024)} KiB`);
  for (const window of [desk, phone]) await window.context().close();
};

const enter = async (page, name) => {
  await page.fill("#name", name);
  await page.click("#join button");
  await hasText(page, "#members button", `${name} (you)`);
};
const say = async (page, text) => {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
  await page.waitForTimeout(250);
};

/** A stroke through the places of a curve, `at` going from 0 to 1. */
const draw = async (page, colour, curve) => {
  await page.click(`#colours label:has([value="${colour}"])`);
  const { x, y, width, height } = await page.locator("#pen").boundingBox();
  const to = (at) => [x + width * curve(at)[0], y + height * curve(at)[1]];
  await page.mouse.move(...to(0));
  await page.mouse.down();
  for (let at = 0; at <= 1; at += 0.02) {
    await page.mouse.move(...to(at));
    await page.waitForTimeout(6);
  }
  await page.mouse.up();
};

await take("index");
await take("counter", async (desk) => {
  await desk.click("label:has([value='20'])");
  await hasText(desk, "#count", /^\d{3}$/);
  await desk.click("label:has([value='1'])");
  await desk.waitForTimeout(2500);
});
await take("calls", async (desk, phone) => {
  for (const page of [desk, phone]) {
    for (const button of ["#failing", "#slow"]) await page.click(button);
    await page.waitForTimeout(3300);
    await page.click("#three");
  }
  await desk.click("#three");
  await phone.evaluate(() => scrollTo(0, 310));
  await desk.waitForTimeout(1000);
});
await take("chat", async (desk, phone) => {
  await enter(desk, "Ada");
  await enter(phone, "Hiro");
  await say(desk, "Hello! Is this thing on?");
  await say(phone, "It is. Long-polling from another origin, on a phone.");
  await say(desk, "WebSocket from the broker's own. You would not know.");
  await phone.locator("#members button", { hasText: "Ada" }).click();
  await say(phone, "Between us: the order is the same for all.");
  await phone.click("#to button");
  await desk.locator("#text").blur();
  await phone.evaluate(() => scrollTo(0, 190));
});
await take("drawing", async (desk, phone) => {
  await desk.evaluate(() => scrollTo(0, 140));
  await draw(desk, 1, (at) => [0.1 + 0.8 * at, 0.55 + 0.22 * Math.sin(at * 9)]);
  await draw(desk, 3, (at) => [0.78 + 0.09 * Math.cos(at * 6.3), 0.22 + 0.12 * Math.sin(at * 6.3)]);
  await phone.evaluate(() => scrollTo(0, 260));
  await draw(phone, 4, (at) => [0.12 + 0.36 * at, 0.85 - 0.5 * at + 0.12 * Math.sin(at * 14)]);
  await draw(desk, 5, (at) => [0.3 + 0.5 * at, 0.9 + 0.03 * Math.sin(at * 20)]);
  await hasText(phone, "#strokes", /^4 strokes/);
  await phone.waitForTimeout(1500);
});

await chromium.stop();
await demo.stop();
