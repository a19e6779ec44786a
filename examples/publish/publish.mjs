// Publishes one message:  node publish.mjs CHANNEL JSON
// BAYEUX_URL names the broker's endpoint; BAYEUX_KEY is an API key, for brokers that want one.

const url = process.env.BAYEUX_URL ?? "http://127.0.0.1:8080/bayeux";
const key = process.env.BAYEUX_KEY;

async function publish(channel, data) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) },
    body: JSON.stringify({ channel, data }),
    signal: AbortSignal.timeout(10_000),
  });
  const [reply] = await answer.json().catch(() => {
    throw new Error(`HTTP status ${answer.status}, and no reply`);
  });
  if (reply?.successful !== true) throw new Error(`refused: ${reply?.error}`);
}

const [channel, json] = process.argv.slice(2);
if (json === undefined) {
  console.error("usage: node publish.mjs CHANNEL JSON");
  process.exit(2);
}
try {
  await publish(channel, JSON.parse(json));
} catch (error) {
  // fetch says only that it failed; its cause says why.
  console.error(`publish: ${error.cause?.message || error.cause?.code || error.message}`);
  process.exit(1);
}
