/* The chat room: joining, speaking to all or to one, and who is here. */
import { $, client, complain, make } from "./demo.js";

const MOST_MESSAGES = 300;
const NAMES = ["Ada", "Bela", "Chiara", "Dmitri", "Emre", "Fatou", "Greta", "Hiro", "Ines", "Jonas", "Kofi", "Lena", "Mira", "Nils", "Oya", "Pablo"];

/** Known to this window only: with it, a window that reloads or finds a new session takes its own place again. */
const ticket = (() => {
  const kept = sessionStorage.getItem("ticket");
  if (kept) return kept;
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem("ticket", made);
  return made;
})();

/** The backend gives members numbers; a colour for each. */
const COLOURS = ["--accent", "--good", "--violet", "--warn", "--bad"];
const colourOf = ({ colour }) => `var(${COLOURS[colour] ?? "--faint"})`;

let me; // { id, name } while joined
let to; // the member who is spoken to alone

// ---- what is seen

const show = (element) => {
  const list = $("messages");
  const following = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.append(element);
  while (list.children.length > MOST_MESSAGES) list.firstElementChild.remove();
  if (following) list.scrollTop = list.scrollHeight;
};

const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

const showMessage = ({ from, text, at }, how) => {
  const who = make("b", {}, how ? `${from.name}, ${how}` : from.name);
  const item = make("div", { className: "message" }, make("div", { className: "who" }, who, make("time", {}, clock(at))), make("p", {}, text));
  item.style.setProperty("--who", colourOf(from));
  item.classList.toggle("own", from.id === me?.id);
  item.classList.toggle("private", !!how);
  show(item);
};

client.subscribe(
  "/chat/room",
  ({ data }) => {
    if (typeof data?.notice === "string") show(make("div", { className: "notice" }, data.notice));
    else if (data?.from) showMessage(data);
  },
  { replay: -2 },
);

// What the backend delivers to this session alone.
client.subscribe("/service/chat/private", ({ data }) => showMessage(data, "to you alone"));

client.subscribe("/chat/members", ({ data: { members } }) => {
  $("many").textContent = members.length || "";
  $("members").replaceChildren(...members.map(memberItem));
  if (to && !members.some(({ id }) => id === to.id)) speakTo();
});

const memberItem = (member) => {
  const own = member.id === me?.id;
  const button = make("button", {
    type: "button", className: "quiet", disabled: own || !me, "data-initial": [...member.name][0].toUpperCase(),
    title: own ? "" : `Speak to ${member.name} alone`, onclick: () => speakTo(member),
  }, own ? `${member.name} (you)` : member.name);
  button.style.setProperty("--who", colourOf(member));
  button.dataset.id = member.id;
  return make("li", {}, button);
};

const speakTo = (member) => {
  to = member;
  $("to").hidden = !to;
  $("to").firstElementChild.textContent = to ? `To ${to.name} alone` : "";
  $("text").focus();
};

const showPlace = () => {
  const inside = !!me;
  $("door").hidden = inside;
  $("leave").hidden = !inside;
  $("text").disabled = $("say").querySelector("button").disabled = !inside;
  $("text").placeholder = inside ? "Say something" : "Join to say something";
  for (const button of $("members").querySelectorAll("button")) {
    const own = button.dataset.id === me?.id;
    button.disabled = !inside || own;
    button.textContent = button.textContent.replace(/ \(you\)$/, "") + (own ? " (you)" : "");
  }
};

// ---- what is done

/** A call whose answer says whether it went well; undefined when it did not, and somebody was told. */
const ask = async (service, data) => {
  try {
    const answer = await client.call(`chat/${service}`, data);
    complain(answer.ok ? undefined : answer.why);
    return answer.ok ? answer : undefined;
  } catch (error) {
    complain(error);
  }
};

const join = async (name) => {
  const answer = await ask("join", { name, ticket });
  me = answer?.you;
  if (me) sessionStorage.setItem("name", me.name);
  showPlace();
};

// A new session, after a reload or a restart of the broker, knows nothing of us.
client.on("connected", ({ resumed }) => {
  const name = me?.name ?? sessionStorage.getItem("name");
  if (!resumed && name) join(name);
});

$("join").addEventListener("submit", async (event) => {
  event.preventDefault();
  await join($("name").value);
  if (me) $("text").focus();
});

$("leave").addEventListener("click", async () => {
  if (!(await ask("leave", {}))) return;
  sessionStorage.removeItem("name");
  me = undefined;
  speakTo();
  showPlace();
  $("name").focus();
});

$("to").querySelector("button").addEventListener("click", () => speakTo());

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  $("text").value = "";
  if (to) {
    const answer = await ask("private", { to: to.id, text });
    if (answer) return showMessage(answer, `to ${answer.to.name} alone`);
  } else {
    try {
      return await client.publish("/chat/room", { text });
    } catch (error) {
      complain(error);
    }
  }
  // It was not said: what was typed is not lost.
  if (!$("text").value) $("text").value = text;
});

$("name").value = NAMES[Math.floor(Math.random() * NAMES.length)];
$("door").hidden = !!sessionStorage.getItem("name");
