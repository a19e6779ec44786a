/* Scenario: one message of 500 KB. Clients whose transport cannot send it (a URL is too short) receive it all the same. */
import assert from "node:assert/strict";

export const title = "a payload of 500 KB arrives intact";

const PAYLOAD_CHARS = 500 * 1024;
/* Above the payload and its envelope, for clients that limit what they send (cometd: 8192 characters by default). */
const MAX_MESSAGE_CHARS = 1024 * 1024;
const DELIVERY_MS = 20_000;

export async function run(world) {
  const channel = world.channel("payload");
  const subscriber = await world.connected("subscriber", { maxMessageChars: MAX_MESSAGE_CHARS });
  const publisher = await world.connected("publisher", { maxMessageChars: MAX_MESSAGE_CHARS, ...world.profile.sender });
  await subscriber.subscribe(channel);

  const text = unrepetitive(PAYLOAD_CHARS);
  await publisher.publish(channel, { text });
  const [{ data }] = await subscriber.messages(channel, 1, DELIVERY_MS);
  assert.equal(data.text.length, text.length);
  assert.ok(data.text === text, "the text differs from what was sent");

  await publisher.publish(channel, "still alive");
  assert.equal((await subscriber.messages(channel, 2))[1].data, "still alive");
}

/* Printable ASCII from a linear congruential generator: a lost, doubled or moved piece cannot go unnoticed. */
function unrepetitive(length) {
  let state = 1;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return String.fromCharCode(32 + (state >>> 16) % 95);
  }).join("");
}
