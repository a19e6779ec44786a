/* Scenario: text beyond ASCII arrives as it was sent, in values and in keys, through every framing on the way. */
import assert from "node:assert/strict";

export const title = "non-ASCII text arrives intact";

const DATA = {
  umlauts: "äöüß ÄÖÜ ñ é",
  emoji: "😀 👩‍👩‍👧 🇪🇺 🧑🏽‍🚀",
  separators: "before\u2028between\u2029after",
  scripts: "日本語 العربية עברית ไทย ελληνικά",
  combining: "e\u0301 \u200d \ufeff",
  escapes: "\" \\ / \b \f \n \r \t \u0000 \u001f \u007f",
  markup: "</script><!-- & %20 + =",
  "ключ 🔑": "a key",
};

export async function run(world) {
  const channel = world.channel("text");
  const subscriber = await world.connected("subscriber");
  const publisher = await world.connected("publisher");
  await subscriber.subscribe(channel);
  await publisher.publish(channel, DATA);
  assert.deepEqual(await subscriber.messages(channel), [{ channel, data: DATA }]);
}
