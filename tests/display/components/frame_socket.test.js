import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FrameSocket } from "../../../display/components/mirror/frame_socket.js";
import { FakeClock } from "./fake_clock.js";

class FakeWebSocket {
  static OPEN = 1;
  static made = [];
  readyState = 0;
  sent = [];

  constructor(path) {
    this.path = path;
    FakeWebSocket.made.push(this);
  }

  accept() {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen();
  }

  paint() {
    this.accept();
    this.onmessage({ data: "painting" });
  }

  send(message) {
    this.sent.push(message);
  }

  end(code) {
    this.readyState = 3;
    this.onclose({ code });
  }

  close() {
    this.readyState = 3;
  }
}

let clock, states, paintings, ready, socket;

beforeEach(() => {
  FakeWebSocket.made = [];
  [clock, states, paintings, ready] = [new FakeClock(), [], [], 0];
  const handlers = {
    onChange: (state) => states.push(state),
    onReady: () => ready++,
    onPainting: (painting) => paintings.push(painting),
  };
  socket = new FrameSocket("/mirror/frames", handlers, { WebSocket: FakeWebSocket, clock });
  socket.open();
});

const last = () => FakeWebSocket.made.at(-1);

test("a frame is sent behind the shares of the styles, and its painting comes back", async () => {
  assert.equal(last().path, "/mirror/frames");
  last().accept();
  assert.equal(ready, 1);
  socket.send(new Blob(["jpeg"]), Uint8Array.of(65, 66));
  assert.equal(await last().sent[0].text(), "ABjpeg");
  last().onmessage({ data: "painting" });
  assert.deepEqual(paintings, ["painting"]);
  assert.deepEqual(states, ["connecting", "open"]);
});

test("nothing is sent before there is a connection", async () => {
  socket.send(new Blob([]), Uint8Array.of());
  assert.deepEqual(last().sent, []);
});

test("a lost connection is made again, later each time, and reported only if it stays lost", async () => {
  last().paint();
  last().end(1006);
  await clock.advance(1_000);
  assert.equal(FakeWebSocket.made.length, 2);
  last().paint();
  await clock.advance(10_000);
  assert.deepEqual(states, ["connecting", "open"]);
  last().end(1012);
  for (const delay of [500, 1_000, 2_000, 4_000, 8_000, 8_000]) {
    const { length } = FakeWebSocket.made;
    await clock.advance(delay - 1);
    assert.equal(FakeWebSocket.made.length, length);
    await clock.advance(1);
    assert.equal(FakeWebSocket.made.length, length + 1);
    last().end(1006);
  }
  assert.deepEqual(states, ["connecting", "open", "lost"]);
  await clock.advance(8_000);
  last().paint();
  assert.deepEqual(states.slice(3), ["open"]);
});

test("that there are too many mirrors, or that nothing can be painted, is reported at once", async () => {
  for (const [code, state] of [
    [1013, "full"],
    [1011, "failed"],
  ]) {
    last().accept();
    last().end(code);
    await clock.advance(8_000);
    last().accept();
    assert.equal(states.at(-1), state); // until there is a painting
    last().end(code);
    await clock.advance(8_000);
  }
  last().paint();
  assert.equal(states.at(-1), "open");
});

test("a connection whose other end is gone without a word is made again", async () => {
  last().paint();
  socket.send(new Blob([]), Uint8Array.of());
  await clock.advance(14_000);
  assert.equal(FakeWebSocket.made.length, 1);
  await clock.advance(2_000);
  assert.equal(FakeWebSocket.made[0].readyState, 3);
  assert.equal(FakeWebSocket.made.length, 2);
});

test("a closed connection stays closed", async () => {
  last().paint();
  socket.close();
  last().onclose({ code: 1005 });
  await clock.advance(60_000);
  assert.equal(FakeWebSocket.made.length, 1);
  assert.equal(states.at(-1), "closed");
  socket.open();
  assert.equal(FakeWebSocket.made.length, 2);
});
