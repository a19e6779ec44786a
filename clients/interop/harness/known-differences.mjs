/*
 * Where another server than bayeuxd legitimately fails a scenario: such a test runs and reports, but does not count.
 * Read by suite.mjs. There is never an entry for bayeuxd.
 */

const DIFFERENCES = [
  {
    server: "faye",
    applies: ({ scenario, profile }) => profile.transport === "eventsource" && scenario.name.startsWith("restart-"),
    reason: "Faye tells EventSource clients to send a connect only once per timeout, so they notice a restart that late",
  },
  {
    server: "faye",
    applies: ({ scenario, client }) => client.includes("aiocometd") && scenario.name === "connect",
    reason: "Faye holds the first connect, and this client's connect() returns only when that is answered",
  },
  {
    server: "faye",
    applies: ({ scenario, client, profile }) =>
      client.includes("Java") && profile.transport === "long-polling" && /^(disconnect|restart-.*)$/.test(scenario.name),
    reason: "Faye does not tell the held connect of a disconnecting client to stop, and this client waits for that",
  },
];

/* The reason, or undefined when the server has to pass. */
export function knownDifference(server, run) {
  return DIFFERENCES.find((entry) => entry.server === server && entry.applies(run))?.reason;
}
