/*
 * What all demos share: one connected client, the bar that shows how it is connected and changes the transport, and a few
 * words for making elements. Received text only ever becomes text, never markup.
 */
import { broker } from "./where.js";

const { Client, websocket, longPolling, callbackPolling } = globalThis.bayeux;

/** Connection types with the names that people know them by. */
const TRANSPORTS = {
  websocket: ["WebSocket", websocket()],
  "long-polling": ["Long-polling", longPolling()],
  // bayeuxd takes longer URLs than some proxies do.
  "callback-polling": ["JSONP", callbackPolling({ maxUrlLength: 6000 })],
};
const nameOf = (type) => TRANSPORTS[type][0];

/** The broker's endpoint, and whether it is at this page's origin. */
export const endpoint = new URL(broker, location.href);
const crossOrigin = endpoint.origin !== location.origin;

/** A transport that can become another one while the session goes on: the link is given up, the next is of the new kind. */
const switchable = (first) => {
  let type = first;
  let host;
  return {
    get type() {
      return type;
    },
    open: (newHost) => TRANSPORTS[type][1].open((host = newHost)),
    switchTo(next) {
      if (next === type) return;
      type = next;
      host?.fail("changing the transport");
    },
  };
};

const asked = new URLSearchParams(location.search).get("transport");
const transport = switchable(Object.hasOwn(TRANSPORTS, asked ?? "") ? asked : "websocket");

/** The page's client. It connects as soon as the page has made its subscriptions. */
export const client = new Client(endpoint.href, { transports: [transport], backoff: 200, backoffMax: 5000 });

// ---- elements

export const $ = (id) => document.getElementById(id);

/** An element with properties (or data-… and aria-… attributes) and children, which are elements or texts. */
export const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
};

/** Says what went wrong, until it is called with nothing. */
export const complain = (error) => {
  let notice = $("notice");
  if (!notice) {
    notice = make("p", { id: "notice", role: "alert" });
    document.querySelector("main").prepend(notice);
  }
  notice.hidden = !error;
  notice.textContent = error ? String(error.message ?? error) : "";
};

// ---- the bar

const state = make("span", { className: "pill", id: "state", role: "status" });
const again = make("button", { className: "quiet", type: "button", textContent: "Connect again", hidden: true, onclick: () => connect() });

const showState = (reason) => {
  const words = {
    connected: `connected · ${nameOf(client.transport)}`,
    connecting: `connecting · ${nameOf(client.transport)}`,
    reconnecting: `reconnecting · ${nameOf(client.transport)}`,
    disconnecting: "saying goodbye",
    disconnected: reason ? `ended: ${reason.message}` : "disconnected",
  };
  state.dataset.state = client.state;
  state.dataset.transport = client.transport;
  state.textContent = words[client.state];
  again.hidden = client.state !== "disconnected";
};

const choice = () => {
  const field = make("fieldset", { className: "choice", id: "transports" }, make("legend", { className: "visually-hidden" }, "Transport"));
  for (const [type, [name]] of Object.entries(TRANSPORTS)) {
    const input = make("input", { type: "radio", name: "transport", value: type, checked: type === transport.type });
    field.append(make("label", {}, input, name));
  }
  field.addEventListener("change", ({ target }) => {
    transport.switchTo(target.value);
    keepTransport(target.value);
    showState();
  });
  return field;
};

/** The choice travels with the links to the other pages. */
const keepTransport = (type) => {
  const here = new URL(location.href);
  here.searchParams.set("transport", type);
  history.replaceState(null, "", here);
  for (const link of document.querySelectorAll("a[data-keep]")) {
    const there = new URL(link.href);
    there.searchParams.set("transport", type);
    link.href = there.href;
  }
};

const route = make("span", { id: "route" });
if (crossOrigin) route.append("page from ", make("b", {}, location.host), ", broker at ", make("b", {}, endpoint.host));
else {
  route.className = "own";
  route.append("page and broker at ", make("b", {}, location.host));
}

$("bar").append(state, choice(), again, route);
if (asked) keepTransport(transport.type);
client.on("state", ({ reason }) => showState(reason));
client.on("error", ({ error }) => complain(error));
showState();

// ---- the connection

const connect = () => client.connect().catch(complain);

// Not before the page is loaded: the scripts of JSONP would be a part of it, and a page that waits for a held poll is
// never loaded, as browsers see it. What the page subscribes to is kept until then.
if (document.readyState === "complete") connect();
else addEventListener("load", connect);

// A page that goes away says so.
addEventListener("pagehide", () => client.disconnect());
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
