/* Remote calls: each a row with a bar that grows until the answer, or the error, is there. */
import { $, client, make } from "./demo.js";

const SCALE = 4000; // milliseconds of the whole axis
const LIMIT = 3000; // when the broker gives up, see bayeuxd.toml
const PATIENCE = 20_000; // ours: longer, so that we hear what the broker says
const MOST_ROWS = 12;

const percent = (milliseconds) => `${Math.min(100, (milliseconds / SCALE) * 100)}%`;
const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

const flying = new Set();

const call = async (text, delay, fail) => {
  const started = performance.now();
  const outcome = make("span", { className: "outcome" });
  const bar = make("div", { className: "bar" });
  const limit = make("i", { className: "limit" });
  limit.style.left = percent(LIMIT);
  const words = fail ? `“${text}”, fails after ${seconds(delay)}` : `“${text}”, after ${seconds(delay)}`;
  const row = make("li", {}, make("div", { className: "call-head" }, make("span", {}, words), outcome), make("div", { className: "track" }, bar, limit));
  $("calls").prepend(row);
  while ($("calls").children.length > MOST_ROWS) $("calls").lastElementChild.remove();
  $("empty").hidden = true;

  const flight = () => {
    bar.style.width = percent(performance.now() - started);
  };
  flying.add(flight);
  animate();
  let result;
  try {
    const answer = await client.call("echo", { text, delay, fail }, { timeout: PATIENCE });
    const took = Math.round(performance.now() - started);
    row.className = "answered";
    result = `“${answer.echo}” · ${took} ms, ${Math.max(0, took - delay)} on the way`;
  } catch (error) {
    row.className = "failed";
    result = `${error.message} · ${Math.round(performance.now() - started)} ms`;
  }
  flight();
  flying.delete(flight);
  outcome.textContent = result;
  count();
};

const count = () => {
  $("flying").textContent = flying.size ? `${flying.size} in flight` : "";
};

let animating = false;
const animate = () => {
  count();
  if (animating) return;
  animating = true;
  const frame = () => {
    for (const flight of flying) flight();
    animating = flying.size > 0;
    if (animating) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
};

for (let at = 0; at <= SCALE; at += 1000) {
  const label = at === LIMIT ? `${at / 1000} s, the limit` : `${at / 1000} s`;
  const mark = make("span", {}, label);
  mark.style.left = percent(at);
  $("axis").append(mark);
}

$("delay").addEventListener("input", ({ target }) => {
  $("delay-shown").textContent = seconds(Number(target.value));
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  call($("text").value, Number($("delay").value));
});
$("three").addEventListener("click", () => {
  for (const [text, delay] of [["slowest", 2400], ["fastest", 400], ["in between", 1400]]) call(text, delay);
});
$("slow").addEventListener("click", () => call("too late", 4500));
$("failing").addEventListener("click", () => call("oh no", 700, true));
