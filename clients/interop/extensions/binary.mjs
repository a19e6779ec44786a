/* Story: BinaryExtension sends bytes of every length and value; others with it get the same bytes, others the text on the wire. */
import assert from "node:assert/strict";

export const title = "binary: bytes arrive as they were sent";

const LENGTHS = [0, 1, 2, 3, 4, 5, 1000];

export async function run(world) {
  const channel = world.channel("bytes");
  const sender = await world.connected("sender", { extensions: ["binary"] });
  const receiver = await world.connected("receiver", { extensions: ["binary"] });
  const plain = await world.connected("plain");
  await receiver.subscribe(channel);
  await plain.subscribe(channel);
  const all = Array.from({ length: 256 }, (_, value) => value);
  const sent = [all, ...LENGTHS.map((length) => Array.from({ length }, (_, at) => (at * 37) % 256))];
  for (const bytes of sent) await sender.call("publishBinary", channel, bytes, { length: bytes.length });

  const received = await receiver.messages(channel, sent.length);
  assert.deepEqual(received.map(({ data }) => data.bytes), sent);
  assert.deepEqual(received.map(({ data }) => data.meta.length), sent.map((bytes) => bytes.length));
  assert.ok(received.every(({ data }) => data.last === true));

  const wire = await plain.messages(channel, sent.length);
  /* Five characters for four bytes, as ZeroMQ writes them. */
  assert.equal(wire[0].data.data.length, (256 / 4) * 5);
  const events = plain.events("arrival").filter((event) => event.channel === channel);
  assert.ok(events.every(({ ext }) => JSON.stringify(ext) === '{"binary":{}}'), "the marker arrives, and nothing else");
  await sender.disconnect();
}
