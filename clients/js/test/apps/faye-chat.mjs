/*
 * A chat as applications write it with Faye's client. The tests run this very file with the official package and, the
 * import changed, with @bayeuxd/client/compat/faye. Nothing else in here knows which one it is.
 */
import Faye from "faye";

export class Chat {
  members = new Set();

  constructor(user, url, options, tell) {
    this.user = user;
    this.tell = tell;
    const client = (this.client = new Faye.Client(url, options));
    client.setHeader("X-Chat", user);
    client.addExtension({
      outgoing(message, callback) {
        // Signing takes a moment.
        if (!message.channel.startsWith("/chat/")) return callback(message);
        setTimeout(() => {
          message.data.mark = user;
          callback(message);
        }, 0);
      },
      incoming: (message, callback) => callback(message.data?.text == "censored" ? null : message),
    });
    client.on("transport:down", () => tell("down"));
    client.on("transport:up", () => tell("up"));
  }

  async join() {
    const [room, members] = this.client.subscribe(["/chat/demo", "/members/demo"], function (data) {
      if (data.text) this.tell(`${data.user}: ${data.text} (${data.mark})`);
      else this.members.add(data.user);
    }, this);
    this.room = room;
    this.wild = this.client.subscribe("/chat/*").withChannel((channel, { user }) => this.tell(`${user} on ${channel}`));
    members.callback(() => this.tell("members"));
    await Promise.all([room, members, this.wild]);
    await this.client.publish("/members/demo", { user: this.user });
    this.tell("joined");
  }

  say(text, options) {
    return this.client.publish("/chat/demo", { user: this.user, text }, options);
  }

  async trespass() {
    const refused = ({ code, message }) => this.tell(`refused ${code} ${message}`);
    await this.client.publish("/denied/room", { text: "let me in" }).then(() => this.tell("in"), refused);
    await this.client.subscribe("/denied/room", () => {}).then(() => this.tell("in"), refused);
  }

  async leave() {
    this.room.cancel();
    this.wild.cancel();
    await this.client.disconnect();
    this.tell("left");
  }
}

/** An afternoon in the chat; the parameters and what it returns are those of cometd-chat.mjs. */
export const afternoon = async ({ options: { url, ...options }, server, until }) => {
  const stories = { ann: [], bob: [] };
  const [ann, bob] = Object.entries(stories).map(([user, story]) => new Chat(user, url, options, (line) => story.push(line)));
  const waitFor = (condition, what) => until(condition, () => `${what}: ${JSON.stringify(stories)}`);
  const shows = (user, text) => stories[user].some((line) => line.includes(text));
  const both = (text) => waitFor(() => shows("ann", text) && shows("bob", text), `both see ${text}`);

  await ann.join();
  await bob.join();
  await waitFor(() => ann.members.has("bob") && bob.members.has("bob"), "both know bob");
  await ann.say("hello bob");
  await both("ann: hello bob");
  await Promise.all([bob.say("hello"), bob.say("censored"), bob.say("grüß dich 🎈", { attempts: 5, deadline: 60 })]);
  await both("grüß dich 🎈");
  if (server.denies) await bob.trespass();

  await server.kill();
  await both("down");
  await server.start();
  await waitFor(() => stories.ann.at(-1) == "up" && stories.bob.at(-1) == "up", "both are back");
  // Said until heard: who is back first may speak before the other listens again.
  const asking = setInterval(() => ann.say("still there?").then(() => {}, () => {}), 50);
  await both("still there?").finally(() => clearInterval(asking));

  await bob.leave();
  await ann.leave();
  return { ann: [...new Set(stories.ann)].sort(), bob: [...new Set(stories.bob)].sort() };
};
