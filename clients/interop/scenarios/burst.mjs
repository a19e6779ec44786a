/* Scenario: many messages at once from two clients: all are acknowledged, and each arrives exactly once. */
import assert from "node:assert/strict";

export const title = "a burst from two publishers arrives complete and without doubles";

const MESSAGES_EACH = 30;

// A browser opens six connections to one host. With EventSource each client of the page keeps two of them, its stream and
// its held connect, so three clients would leave none to publish over.
const names = (world) => (world.profile.transport === "eventsource" ? ["first"] : ["first", "second"]);

export async function run(world) {
  const channel = world.channel("burst");
  const marker = world.channel("marker");
  const subscriber = await world.connected("subscriber");
  const publishers = [];
  for (const name of names(world)) publishers.push(await world.connected(name));
  await subscriber.subscribe(channel);
  await subscriber.subscribe(marker);

  const sent = publishers.flatMap(({ name }) => Array.from({ length: MESSAGES_EACH }, (_, number) => `${name} ${number}`));
  await Promise.all(publishers.flatMap((publisher) =>
    sent.filter((data) => data.startsWith(publisher.name)).map((data) => publisher.publish(channel, data))));
  await publishers[0].publish(marker, "end");

  await subscriber.messages(marker);
  const arrived = subscriber.arrivals().filter((message) => message.channel === channel);
  assert.equal(subscriber.received(channel).length, sent.length);
  assert.deepEqual(arrived.map(({ data }) => data).sort(), sent.sort());
}
