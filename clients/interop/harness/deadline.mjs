/*
 * Waiting with a deadline, for the whole harness. Used by the broker, the places and the clients.
 * Nothing here sleeps: every wait ends with the event it waits for, or fails naming what did not happen.
 */

export async function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${milliseconds} ms: ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/* Everything that was said so far, and a way to wait for what has not been said yet. */
export class EventLog {
  #events = [];
  #waiters = new Set();

  add(event) {
    this.#events.push(event);
    for (const waiter of this.#waiters) waiter();
  }

  filter(matches) {
    return this.#events.filter(matches);
  }

  /* Resolves with the first `count` matching events, those of the past included. */
  async first(count, matches, milliseconds, what) {
    let check;
    const found = new Promise((resolve) => {
      check = () => {
        const hits = this.filter(matches);
        if (hits.length >= count) resolve(hits.slice(0, count));
      };
    });
    this.#waiters.add(check);
    check();
    try {
      return await within(milliseconds, what, found);
    } finally {
      this.#waiters.delete(check);
    }
  }
}
