/*
 * The sheet of paper: strokes in the order of the log, on a canvas, and above it what is not in the log yet.
 * Used by drawing.js. Knows nothing of the broker, and believes nothing that it is handed.
 */

/** The sheet in its own units, whatever its size on a screen. */
export const WIDTH = 1000;
export const HEIGHT = 750;
/** Names of the colours in the style sheet, so that ink is light on dark paper. */
export const COLOURS = [["ink", "--ink"], ["blue", "--accent"], ["red", "--red"], ["orange", "--orange"], ["green", "--green"], ["violet", "--violet"]];
export const WIDTHS = [4, 9, 20];

const MAX_POINTS = 400;
const SHOWN_MS = 1200;

const clamp = (value, most) => Math.min(most, Math.max(0, Math.round(value)));

/** A piece of a stroke as it was received, or undefined when it is none. */
export const pieceOf = (data) => {
  const { s: stroke, c: colour, w: width, p: points } = data ?? {};
  const known = Number.isInteger(colour) && COLOURS[colour] && Number.isInteger(width) && WIDTHS[width];
  const fits = known && typeof stroke === "string" && stroke.length <= 64 && Array.isArray(points);
  if (!fits || points.length < 2 || points.length % 2 || points.length > 2 * MAX_POINTS || !points.every(Number.isFinite)) return;
  return { stroke, colour, width, points: points.map((value, at) => clamp(value, at % 2 ? HEIGHT : WIDTH)) };
};

export class Sheet {
  /** Strokes by id, each a list of pieces, oldest first. */
  strokes = new Map();
  /** Own pieces that have not come back from the broker, and what of own strokes has not left at all. */
  #pending = [];
  #tails = new Map();
  #paper;
  #above;
  #cursors = new Map();
  #pen;
  #scale = 1;
  #frame = 0;
  #colours = [];

  constructor(paper, above) {
    this.#paper = paper.getContext("2d");
    this.#above = above.getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(above);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#resize());
  }

  /** A piece that the log has. */
  add(piece, own) {
    const pieces = this.strokes.get(piece.stroke);
    if (pieces) pieces.push(piece);
    else this.strokes.set(piece.stroke, [piece]);
    this.#draw(this.#paper, piece);
    if (own) this.forget(piece);
    else this.#cursors.set(piece.stroke, { piece, until: performance.now() + SHOWN_MS });
    this.redrawAbove();
  }

  remove(stroke) {
    if (this.strokes.delete(stroke)) this.#redraw();
  }

  clear() {
    this.strokes.clear();
    this.#redraw();
  }

  /** An own piece leaves; until it is added it is seen above the sheet. */
  expect(piece) {
    this.#pending.push(piece);
  }

  /** It came back, or it never will. */
  forget(piece) {
    const at = this.#pending.findIndex((other) => other.stroke === piece.stroke && String(other.points) === String(piece.points));
    if (at >= 0) this.#pending.splice(at, 1);
    this.redrawAbove();
  }

  /** What of an own stroke has not left yet, if anything. */
  showTail(stroke, piece) {
    if (piece) this.#tails.set(stroke, piece);
    else this.#tails.delete(stroke);
    this.redrawAbove();
  }

  /** Where the keyboard's pen is; nowhere without an argument. */
  showPen(pen) {
    this.#pen = pen;
    this.redrawAbove();
  }

  #resize() {
    const { canvas } = this.#above;
    const ratio = devicePixelRatio || 1;
    this.#scale = (canvas.clientWidth * ratio) / WIDTH;
    for (const { canvas: each } of [this.#paper, this.#above]) {
      each.width = Math.round(WIDTH * this.#scale);
      each.height = Math.round(HEIGHT * this.#scale);
    }
    const style = getComputedStyle(document.documentElement);
    this.#colours = COLOURS.map(([, name]) => style.getPropertyValue(name));
    this.#redraw();
    this.redrawAbove();
  }

  #redraw() {
    this.#wipe(this.#paper);
    for (const pieces of this.strokes.values()) for (const piece of pieces) this.#draw(this.#paper, piece);
  }

  /** At the next frame: own pieces on their way, and the pens of others, which fade. */
  redrawAbove() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      this.#wipe(this.#above);
      for (const piece of [...this.#pending, ...this.#tails.values()]) this.#draw(this.#above, piece);
      for (const [stroke, { piece, until }] of this.#cursors) {
        if (until <= now) this.#cursors.delete(stroke);
        else this.#dot(piece.points.at(-2), piece.points.at(-1), 11, piece.colour, (until - now) / SHOWN_MS);
      }
      if (this.#pen) this.#dot(this.#pen.x, this.#pen.y, this.#pen.down ? 9 : 13, this.#pen.colour, this.#pen.down ? 1 : 0.45);
      if (this.#cursors.size) this.redrawAbove();
    });
  }

  #wipe(context) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
  }

  #draw(context, { colour, width, points }) {
    context.strokeStyle = this.#colours[colour];
    context.lineWidth = WIDTHS[width];
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(points[0], points[1]);
    // Round corners: curves from the middle between two points to the next, around the point itself.
    for (let at = 2; at < points.length - 2; at += 2) {
      const [x, y, nextX, nextY] = points.slice(at, at + 4);
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(points.at(-2), points.at(-1));
    // A tap is a dot.
    if (points.length === 2) context.lineTo(points[0], points[1] + 0.01);
    context.stroke();
  }

  #dot(x, y, radius, colour, opacity) {
    const context = this.#above;
    context.globalAlpha = opacity;
    context.fillStyle = this.#colours[colour];
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
  }
}
