/*
 * A chat as applications write it with the official CometD client: rooms, members, private messages over a service, and
 * its own way back after a lost session. The tests run this very file with the official package and, the import changed,
 * with @bayeuxd/client/compat/cometd. Nothing else in here knows which one it is.
 */
import { AckExtension, CometD, TimeStampExtension } from "cometd";

const ROOM = "/chat/demo";
const MEMBERS = "/members/demo";

/** Counts what goes through and marks what this application publishes. */
class MarkExtension {
  out = 0;
  in = 0;
  registered(name, cometd) {
    this.name = name;
    this.cometd = cometd;
  }
  outgoing(message) {
    this.out++;
    if (message.channel == ROOM) message.data.mark = this.name;
    return message;
  }
  incoming(message) {
    this.in++;
    // What is censored is never seen by the page.
    return message.data?.text == "censored" ? null : message;
  }
}

export class Chat {
  members = new Set();
  #up = false;
  #subscriptions = [];

  /** @param tell shows a line on the page */
  constructor(user, options, tell) {
    this.user = user;
    this.tell = tell;
    const cometd = (this.cometd = new CometD(user));
    cometd.registerExtension("ack", new AckExtension());
    cometd.registerExtension("timestamp", new TimeStampExtension());
    cometd.registerExtension("mark", (this.mark = new MarkExtension()));
    cometd.configure({ logLevel: "error", backoffIncrement: 100, maxBackoff: 300, maxNetworkDelay: 30_000, ...options });
    cometd.onListenerException = (error, handle) => tell(`bug: ${error.message} on ${handle.channel}`);
    cometd.addListener("/meta/handshake", this, "handshaken");
    cometd.addListener("/meta/connect", this, this.connected);
    cometd.addListener("/meta/unsuccessful", ({ channel, failure }) => tell(`trouble: ${channel} ${failure ? "failed" : "refused"}`));
    cometd.addListener("/meta/subscribe", ({ subscription, successful }) => tell(`subscribed: ${subscription} ${successful}`));
    cometd.addListener("/meta/publish", ({ channel, successful }) => tell(`published: ${channel} ${successful}`));
    cometd.addListener("/meta/disconnect", ({ successful }) => tell(`left: ${successful} ${cometd.getStatus()}`));
    tell(`${cometd.getName()} is ${cometd.getStatus()}, ${cometd.isDisconnected()}, ${cometd.getClientId()}`);
  }

  join() {
    this.cometd.handshake({ ext: { user: this.user } }, ({ successful, clientId }) =>
      this.tell(`handshake: ${successful} ${clientId == this.cometd.getClientId()}`),
    );
    this.tell(`status: ${this.cometd.getStatus()}`);
  }

  handshaken({ successful, reestablish, supportedConnectionTypes }) {
    if (!successful) return;
    this.tell(`session: ${reestablish ? "another" : "the first"}, ${Array.isArray(supportedConnectionTypes)}`);
    this.members.clear();
    // A new session knows nothing of the old one's subscriptions.
    this.cometd.batch(this, () => {
      this.#subscriptions = [
        this.cometd.subscribe(ROOM, this, "heard", (reply) => this.tell(`room: ${reply.successful}`)),
        this.cometd.subscribe(MEMBERS, ({ data }) => this.members.add(data.user), { ext: { why: "members" } }),
        this.cometd.subscribe("/chat/*", ({ data }) => {
          if (data.text == "bug") throw new Error("mine");
        }),
      ];
      this.cometd.publish(MEMBERS, { user: this.user }, (reply) => this.tell(`joined: ${reply.successful}`));
    });
  }

  connected({ successful }) {
    if (this.cometd.isDisconnected() || successful == this.#up) return;
    this.#up = successful;
    this.tell(`connection: ${successful ? "up" : "down"}, ${this.cometd.getStatus()}`);
  }

  heard({ channel, data }) {
    this.tell(`${channel} ${data.user}: ${data.text} (${data.mark})`);
  }

  say(text) {
    this.cometd.publish(ROOM, { user: this.user, text });
  }

  /** A private word to the service. */
  ask(text, ...timeout) {
    return new Promise((resolve) => {
      this.cometd.remoteCall("echo", { text }, ...timeout, ({ successful, data, error }) => {
        this.tell(`answer: ${successful !== false} ${JSON.stringify(data)} ${error}`);
        resolve();
      });
    });
  }

  /** What the server does not allow. */
  trespass() {
    return new Promise((resolve) => {
      this.cometd.publish("/denied/room", { text: "let me in" }, ({ successful, channel }) => {
        this.tell(`refused: ${channel} ${successful}`);
        this.cometd.subscribe("/denied/room", () => {}, ({ successful, subscription }) => {
          this.tell(`refused: ${subscription} ${successful}`);
          resolve();
        });
      });
    });
  }

  /** Leaves the room by handle, but stays connected. */
  deafen() {
    return new Promise((resolve) => this.cometd.unsubscribe(this.#subscriptions[0], ({ successful }) => (this.tell(`deaf: ${successful}`), resolve())));
  }

  leave() {
    return new Promise((resolve) =>
      this.cometd.disconnect(({ successful }) => {
        this.tell(`goodbye: ${successful}`);
        this.cometd.unregisterExtension("mark");
        resolve();
      }),
    );
  }
}

/**
 * An afternoon in the chat.
 * @param options of both clients, `url` among them
 * @param server `kill()`, `start()`, and what it is able to do: `calls`, `denies`
 * @param until waits for a condition, and says what did not happen
 * @returns what each was shown
 */
export const afternoon = async ({ options, server, until, prepare = () => {} }) => {
  const stories = { ann: [], bob: [] };
  const [ann, bob] = Object.entries(stories).map(([user, story]) => {
    const chat = new Chat(user, options, (line) => story.push(line));
    prepare(chat.cometd);
    return chat;
  });
  const waitFor = (condition, what) => until(condition, () => `${what}: ${JSON.stringify(stories)}`);
  const shows = (user, text) => stories[user].some((line) => line.includes(text));
  const both = (text) => waitFor(() => shows("ann", text) && shows("bob", text), `both see ${text}`);
  const up = (story) => story.filter((line) => line.startsWith("connection")).at(-1)?.includes("up");

  ann.join();
  await waitFor(() => shows("ann", "joined: true") && up(stories.ann), "ann joins");
  bob.join();
  await waitFor(() => ann.members.has("bob") && bob.members.has("bob") && up(stories.bob), "both know bob");
  ann.say("hello bob");
  await both("ann: hello bob");
  bob.cometd.batch(() => {
    bob.say("hello");
    bob.say("censored");
    bob.say("grüß dich 🎈");
  });
  await both("grüß dich 🎈");
  ann.say("bug");
  await both("bug: mine");
  if (server.calls) {
    await ann.ask("how late is it?");
    await bob.ask("and now?", 30_000);
  }
  if (server.denies) await bob.trespass();

  await server.kill();
  await both("connection: down");
  await server.start();
  await waitFor(() => shows("ann", "session: another") && shows("bob", "session: another"), "both have another session");
  await waitFor(() => up(stories.ann) && up(stories.bob) && ann.members.has("ann") && bob.members.has("bob"), "both are back");
  ann.say("still there?");
  await both("still there?");

  await bob.deafen();
  ann.say("bob?");
  await waitFor(() => shows("ann", "ann: bob?"), "ann hears herself");
  await bob.leave();
  await ann.leave();
  const counted = [ann, bob].every(({ mark }) => mark.out > 5 && mark.in > 5);
  // What is told how often, and in which order beside what the other does, is the network's business.
  return { counted, ann: [...new Set(stories.ann)].sort(), bob: [...new Set(stories.bob)].sort() };
};
