// The backend of a small shop, beside a Bayeux broker: Node's own modules and nothing else.
//
// It answers a service call, decides about handshakes, subscriptions and publications, and receives orders and events.
// docs/backends.md describes every call that comes here.
//
//   HOST, PORT     where to listen; 127.0.0.1 and 9000
//   BROKER         where the broker's API is; http://127.0.0.1:8080
//   BAYEUX_KEY     an API key of the broker, if it wants one
//   SECRETS        the secrets that sign calls, as in bayeuxd.toml, with a blank between

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { HOST = "127.0.0.1", PORT = "9000", BROKER = "http://127.0.0.1:8080", BAYEUX_KEY } = process.env;
// This one is public: make your own with  echo whsec_$(openssl rand -base64 32)
const SECRETS = process.env.SECRETS ?? "whsec_c2VjcmV0IG9mIHRoZSBleGFtcGxlIGJhY2tlbmQh";
const KEYS = SECRETS.split(/\s+/).map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
const CLOCKS_DIFFER_AT_MOST = 300; // seconds
const LARGEST_CALL = 16 << 20; // bytes

const PRICES = new Map([["bread", 320], ["cake", 1450]]); // cents
const BANNED = new Set(["mallory"]);
const SWEAR_WORDS = new Set(["damn", "heck"]);

const online = new Set(); // sessions
let orders = 0;
let lastPosition = 0; // of the newest order that was seen; a real shop keeps it with its orders

/** Whether the broker sent this, by the Standard Webhooks signature, and lately. */
function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !/^\d+$/.test(timestamp) || !signatures) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > CLOCKS_DIFFER_AT_MOST) return false;
  const wanted = KEYS.map((key) => createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest());
  const given = signatures.split(" ").map((part) => Buffer.from(part.replace(/^v1,/, ""), "base64"));
  return wanted.some((w) => given.some((g) => w.length === g.length && timingSafeEqual(w, g)));
}

/** A client called a service: what is returned is its answer. */
function serve({ channel, data }) {
  if (channel === "/service/shop/state") return { online: online.size, orders };
  const price = PRICES.get(data?.item);
  if (price === undefined || !Number.isInteger(data.count) || data.count < 1) return { unknown: data };
  return { item: data.item, total: price * data.count };
}

function mayShakeHands({ ext }) {
  return BANNED.has(ext?.name) ? { allow: false, reason: "banned" } : { allow: true };
}

/** Everybody may follow an order whose number they know; nobody may follow all of them. */
function maySubscribe({ channel }) {
  return channel.includes("*") ? { allow: false, reason: "one order at a time" } : { allow: true };
}

/** What is said in the chat has a text, and no swear words; other members do not travel. */
function mayPublish({ data }) {
  const text = data?.text;
  if (typeof text !== "string" || text.trim() === "") return { allow: false, reason: "no text" };
  const words = text.split(" ").map((word) => (SWEAR_WORDS.has(word.toLowerCase()) ? "*".repeat(word.length) : word));
  return { allow: true, data: { text: words.join(" ") } };
}

/** Orders, each at least once and in order: a batch comes again when its answer was lost. */
async function receive({ publications }) {
  for (const order of publications) {
    if (order.position <= lastPosition) continue;
    await confirm(order); // before it counts as seen: when this fails, the batch comes again
    lastPosition = order.position;
    orders += 1;
    console.log("order", order.channel, JSON.stringify(order.data));
  }
}

/** Publishes to the order's own channel. With its position as key a second time makes no second message. */
async function confirm(order) {
  const answer = await fetch(`${BROKER}/api/v1/publish`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(BAYEUX_KEY && { Authorization: `Bearer ${BAYEUX_KEY}` }) },
    body: JSON.stringify({
      channel: order.channel.replace("/orders/", "/confirmed/"),
      data: { order: order.data, state: "accepted" },
      idempotency_key: `order-${order.position}`,
    }),
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`the broker answered ${answer.status}`);
}

function note({ events }) {
  for (const { type, session } of events) {
    if (type === "session_added") online.add(session);
    if (type === "session_removed") online.delete(session);
  }
}

const ANSWERS = new Map(Object.entries({
  service: serve,
  "authorise.handshake": mayShakeHands,
  "authorise.subscribe": maySubscribe,
  "authorise.publish": mayPublish,
  publications: receive,
  events: note,
}));

async function bodyOf(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LARGEST_CALL) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The status and the value that answer a request. */
async function answer(request) {
  const body = await bodyOf(request);
  if (body === null) return [413, { error: "too large" }];
  if (!isGenuine(request.headers, body)) return [401, { error: "the signature does not fit" }];
  const call = JSON.parse(body);
  const answerTo = ANSWERS.get(call.type);
  if (!answerTo) return [400, { error: `nothing is known of ${call.type}` }];
  try {
    return [200, (await answerTo(call.data)) ?? null];
  } catch (error) { // the broker's API did not take the confirmation: let it come again
    console.log("cannot confirm:", error.message);
    return [503, { error: "try again" }];
  }
}

const server = createServer((request, response) => {
  answer(request).catch((error) => [500, { error: error.message }]).then(([status, value]) => {
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  });
});
server.keepAliveTimeout = 120_000; // longer than the broker keeps a connection that it does not use
server.listen(Number(PORT), HOST, () => console.log(`backend on http://${HOST}:${server.address().port}`));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
