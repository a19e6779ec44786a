/*
 * What clients of Salesforce's API need besides the broker: somewhere to log in, which hands out the broker as the
 * instance, and a way to publish. Used by salesforce.test.mjs; the broker itself knows nothing of logins.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

import { Broker } from "./broker.mjs";

export const CREDENTIALS = { username: "user@example.com", password: "secret" };
const TOKEN = "00Dxx0000000000!token";

/* A broker as these clients expect it. The API version is theirs to choose. */
export function startInstance(settings = {}) {
  return Broker.start({ "transport.profile": "salesforce", "transport.path": "/cometd", "broker.timeout": "5s", ...settings });
}

/* The username-password flow of OAuth, as far as clients look at its answer. */
export async function startLogin(broker) {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const form = new URLSearchParams(body);
    const known = request.url === "/services/oauth2/token" && form.get("username") === CREDENTIALS.username;
    const answer = known
      ? { access_token: TOKEN, instance_url: broker.origin, token_type: "Bearer", id: `${broker.origin}/id/00Dxx/005xx`, issued_at: "0", signature: "" }
      : { error: "invalid_grant", error_description: "authentication failure" };
    response.writeHead(known ? 200 : 400, { "Content-Type": "application/json" });
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/* An event as the platform's own look. */
export async function publish(broker, channel, number) {
  const data = { schema: "s", payload: { Number__c: number }, event: { createdDate: new Date().toISOString(), type: "created" } };
  const response = await fetch(`${broker.origin}/cometd`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify([{ channel, data }]),
  });
  const [reply] = await response.json();
  assert.equal(reply.successful, true, JSON.stringify(reply));
}
