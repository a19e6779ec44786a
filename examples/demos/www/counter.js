/* The counter: shows what arrives on /counter, and passes the wishes of the buttons to the backend. */
import { $, client, complain } from "./demo.js";

const TURN = 60;
let received = 0;
let lastAt;
let running;

const show = ({ count, running: runs, rate }) => {
  running = runs;
  $("count").textContent = count;
  $("count").classList.toggle("long", count > 99_999);
  $("dial").dataset.running = running;
  $("hand").style.strokeDashoffset = TURN - (count % TURN);
  $("mood").textContent = running ? `${rate} a second` : "stopped";
  $("toggle").textContent = running ? "Stop" : "Start";
  for (const input of $("rates").elements) input.checked = Number(input.value) === rate;
  $("toggle").disabled = $("reset").disabled = false;
};

client.subscribe("/counter", ({ data, ext }) => {
  const now = performance.now();
  $("received").textContent = ++received;
  $("gap").textContent = lastAt === undefined ? "–" : `${Math.round(now - lastAt)} ms`;
  $("position").textContent = ext?.replay?.id ?? "–";
  lastAt = now;
  show(data);
});

const wish = async (what) => {
  try {
    const answer = await client.call("counter", what);
    complain(answer.ok ? undefined : answer.why);
  } catch (error) {
    complain(error);
  }
};

$("toggle").addEventListener("click", () => wish({ do: running ? "stop" : "start" }));
$("reset").addEventListener("click", () => wish({ do: "reset" }));
$("rates").addEventListener("change", ({ target }) => wish({ do: "rate", rate: Number(target.value) }));
