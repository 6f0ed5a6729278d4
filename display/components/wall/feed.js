// The feed: one EventSource that is never given up. Every connection begins with a snapshot, so nothing has to be
// asked for again: whatever was missed is in it.

const KINDS = ["snapshot", "started", "frame", "dream", "ended", "gone", "waiting", "broker", "heartbeat"];

// Milliseconds. The server sends a heartbeat every 10 s; a connection that is silent for three of them is dead.
const DEAD_AFTER = 32_000;
const TRY_AGAIN = 2_000;
// A restart of the display is over before anyone need read about it.
const QUIET_FOR = 1_500;

class Feed {
  // tell(kind, body, eventId) for each message; connected(boolean) when that changes.
  constructor(url, tell, connected) {
    Object.assign(this, { url, tell, connected });
    this.open();
    this.watchdog = setInterval(() => performance.now() - this.heard > DEAD_AFTER && this.open(), 5_000);
  }

  open() {
    this.source?.close();
    this.heard = performance.now();
    this.source = new EventSource(this.url);
    for (const kind of KINDS) this.source.addEventListener(kind, (message) => this.take(kind, message));
    this.source.onerror = () => {
      this.doubt ??= setTimeout(() => this.connected(false), QUIET_FOR);
      // An answer that is no event stream (a proxy's error page) ends an EventSource for good.
      if (this.source.readyState === EventSource.CLOSED) this.retry ??= setTimeout(() => this.reopen(), TRY_AGAIN);
    };
  }

  reopen() {
    this.retry = undefined;
    this.open();
  }

  take(kind, message) {
    this.heard = performance.now();
    if (this.doubt !== undefined) {
      clearTimeout(this.doubt);
      this.doubt = undefined;
    }
    this.connected(true);
    this.tell(kind, JSON.parse(message.data), message.lastEventId);
  }

  close() {
    clearInterval(this.watchdog);
    clearTimeout(this.doubt);
    clearTimeout(this.retry);
    this.source.close();
  }
}
