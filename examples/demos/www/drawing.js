/* Drawing together: own strokes are published piece by piece while they are drawn; what the log says is on the sheet. */
import { $, client, complain, make } from "./demo.js";
import { COLOURS, HEIGHT, Sheet, WIDTH, WIDTHS, pieceOf } from "./sheet.js";

const CHANNEL = "/drawing";
const PACE_MS = 33; // between two pieces of a stroke
const MOST_POINTS = 80; // in one piece: a URL must hold it
const STEP = 8; // of the keyboard's pen
const ATTEMPTS = 5; // a piece that is published twice is drawn twice, which nobody sees

const sheet = new Sheet($("paper"), $("pen"));
const mine = []; // own strokes that may be undone, oldest first
const own = new Set(); // ids of own strokes
const name = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(36)).join("");
let lastStroke = 0;
let colour = 1 + Math.floor(Math.random() * (COLOURS.length - 1));
let width = 1;

// ---- what the log says

client.subscribe(
  CHANNEL,
  ({ data }) => {
    const piece = pieceOf(data);
    if (piece) sheet.add(piece, own.has(piece.stroke));
    else if (typeof data?.undo === "string") sheet.remove(data.undo);
    else if (data?.clear === true) sheet.clear();
    const { size } = sheet.strokes;
    $("strokes").textContent = size === 0 ? "The sheet is empty." : `${size} ${size === 1 ? "stroke" : "strokes"} on the sheet.`;
    $("undo").disabled = !mine.some((stroke) => sheet.strokes.has(stroke));
  },
  { replay: -2 },
);

// ---- what is drawn here

const publish = async (data) => {
  try {
    await client.publish(CHANNEL, data, { attempts: ATTEMPTS });
    complain();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
};

/** A stroke that goes on; its points leave in pieces, one publish at a time, however slow the way is. */
class Stroke {
  #id = `${name}-${++lastStroke}`;
  #look = { c: colour, w: width };
  #points;
  #sent = 0; // points before this one have left; it begins the next piece, so that pieces touch
  #leaving = false;
  #ended = false;

  constructor(x, y) {
    this.#points = [[Math.round(x), Math.round(y)]];
    own.add(this.#id);
    mine.push(this.#id);
    this.#leave();
  }

  add(x, y) {
    const point = [Math.round(x), Math.round(y)];
    if (String(point) !== String(this.#points.at(-1))) this.#points.push(point);
    this.#showTail();
    this.#leave();
  }

  end() {
    this.#ended = true;
    this.#leave();
  }

  async #leave() {
    if (this.#leaving) return;
    this.#leaving = true;
    while (!this.#ended || this.#left()) {
      const points = this.#take();
      if (points) {
        const data = this.#data(points);
        const piece = pieceOf(data);
        sheet.expect(piece);
        this.#showTail();
        if (!(await publish(data))) sheet.forget(piece);
      }
      if (this.#ended && !this.#left()) break;
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
    this.#leaving = false;
  }

  #data(points) {
    return { s: this.#id, ...this.#look, p: points.flat() };
  }

  /** What has not left yet is seen here all the same. */
  #showTail() {
    sheet.showTail(this.#id, this.#left() ? pieceOf(this.#data(this.#points.slice(this.#sent))) : undefined);
  }

  #left() {
    return this.#points.length - 1 > this.#sent || (this.#sent === 0 && !this.#begun);
  }

  #begun = false;

  #take() {
    if (!this.#left()) return;
    this.#begun = true;
    const points = this.#points.slice(this.#sent, this.#sent + MOST_POINTS);
    this.#sent += points.length - 1;
    return points;
  }
}

const strokes = new Map(); // by pointer: several fingers draw several strokes

const place = ({ clientX, clientY }) => {
  const { left, top, width: wide, height: high } = $("pen").getBoundingClientRect();
  return [((clientX - left) / wide) * WIDTH, ((clientY - top) / high) * HEIGHT];
};

$("pen").addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  $("pen").setPointerCapture(event.pointerId);
  sheet.showPen();
  strokes.set(event.pointerId, new Stroke(...place(event)));
});
$("pen").addEventListener("pointermove", (event) => {
  const stroke = strokes.get(event.pointerId);
  if (!stroke) return;
  // Between two frames a fast pen is at more than one place.
  const places = event.getCoalescedEvents?.() ?? [];
  for (const each of places.length ? places : [event]) stroke.add(...place(each));
});
for (const over of ["pointerup", "pointercancel"]) {
  $("pen").addEventListener(over, ({ pointerId }) => {
    strokes.get(pointerId)?.end();
    strokes.delete(pointerId);
  });
}

// ---- the keyboard's pen

const pen = { x: WIDTH / 2, y: HEIGHT / 2, down: false };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let penStroke;

const showPen = () => sheet.showPen({ ...pen, colour });
const liftPen = () => {
  penStroke?.end();
  penStroke = undefined;
  pen.down = false;
};

$("pen").addEventListener("keydown", (event) => {
  const move = MOVES[event.key];
  if (move) {
    const step = event.shiftKey ? STEP * 5 : STEP;
    pen.x = Math.min(WIDTH, Math.max(0, pen.x + move[0] * step));
    pen.y = Math.min(HEIGHT, Math.max(0, pen.y + move[1] * step));
    penStroke?.add(pen.x, pen.y);
  } else if (event.key === " ") {
    if (pen.down) liftPen();
    else {
      pen.down = true;
      penStroke = new Stroke(pen.x, pen.y);
    }
  } else return;
  event.preventDefault();
  showPen();
});
$("pen").addEventListener("blur", () => {
  liftPen();
  sheet.showPen();
});

// ---- tools

for (const [at, [label, variable]] of COLOURS.entries()) {
  const dot = make("i", { "aria-hidden": "true" });
  dot.style.setProperty("--colour", `var(${variable})`);
  const input = make("input", { type: "radio", name: "colour", value: at, checked: at === colour, "aria-label": label });
  $("colours").append(make("label", {}, input, dot));
}
for (const [at, label] of ["fine", "medium", "broad"].entries()) {
  const line = make("i", { "aria-hidden": "true" });
  line.style.setProperty("--width", `${Math.max(2, WIDTHS[at] / 2)}px`);
  const input = make("input", { type: "radio", name: "width", value: at, checked: at === width, "aria-label": label });
  $("widths").append(make("label", {}, input, line));
}
$("colours").addEventListener("change", ({ target }) => (colour = Number(target.value)));
$("widths").addEventListener("change", ({ target }) => (width = Number(target.value)));
$("undo").addEventListener("click", () => {
  let stroke;
  do stroke = mine.pop();
  while (stroke && !sheet.strokes.has(stroke));
  if (stroke) publish({ undo: stroke });
});
$("clear").addEventListener("click", () => publish({ clear: true }));
