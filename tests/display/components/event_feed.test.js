import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { EventFeed } from "../../../display/components/common/event_feed.js";
import { FakeClock } from "./fake_clock.js";

class FakeEventSource {
  static CLOSED = 2;
  static opened = [];
  readyState = 1;
  listeners = {};

  constructor(url) {
    this.url = url;
    FakeEventSource.opened.push(this);
  }

  addEventListener(kind, listener) {
    this.listeners[kind] = listener;
  }

  send(kind, body = {}, lastEventId = "") {
    this.listeners[kind]({ data: JSON.stringify(body), lastEventId });
  }

  fail(readyState = 0) {
    this.readyState = readyState;
    this.onerror();
  }

  close() {
    this.readyState = FakeEventSource.CLOSED;
  }
}

let clock, events, connections, page, feed;

beforeEach(() => {
  FakeEventSource.opened = [];
  [clock, events, connections] = [new FakeClock(), [], []];
  page = { dataset: {}, reloads: 0, reload: () => page.reloads++ };
  feed = new EventFeed("/feed", (event, eventId) => events.push([event, eventId]), {
    onConnectionChange: (isConnected) => connections.push(isConnected),
    EventSource: FakeEventSource,
    clock,
    page,
  });
});

const source = () => FakeEventSource.opened.at(-1);

test("events arrive with their kind, their body and their id", () => {
  assert.equal(source().url, "/feed");
  source().send("snapshot", { dreams: [], running: [] });
  source().send("gone", { job_id: "a" }, "5-0");
  assert.deepEqual(events, [
    [{ kind: "snapshot", body: { dreams: [], running: [] } }, ""],
    [{ kind: "gone", body: { job_id: "a" } }, "5-0"],
  ]);
  assert.deepEqual(connections, [true, true]);
});

test("a page is loaded again once the display is of another build than the one it came from", () => {
  source().send("snapshot", { build: "a" });
  source().send("snapshot", { build: "a" });
  source().send("snapshot"); // of a display that knows no builds
  assert.equal(page.reloads, 0);
  source().send("snapshot", { build: "b" });
  assert.equal(page.reloads, 1);
});

test("a feed that replaces another on the same page still knows what the page came from", () => {
  source().send("snapshot", { build: "a" });
  feed.close();
  feed = new EventFeed("/feed", () => {}, { EventSource: FakeEventSource, clock, page });
  source().send("snapshot", { build: "b" });
  assert.equal(page.reloads, 1);
});

test("a short interruption is not reported", async () => {
  source().fail();
  await clock.advance(1_400);
  source().send("snapshot");
  await clock.advance(10_000);
  assert.deepEqual(connections, [true]);
});

test("a connection that stays lost is reported once, and so is its return", async () => {
  source().fail();
  source().fail();
  await clock.advance(1_500);
  source().fail();
  assert.deepEqual(connections, [false]);
  source().send("heartbeat");
  assert.deepEqual(connections, [false, true]);
});

test("the browser's own reconnecting is left alone", async () => {
  source().fail();
  await clock.advance(20_000);
  assert.equal(FakeEventSource.opened.length, 1);
});

test("a source that the browser gave up is opened again", async () => {
  source().fail(FakeEventSource.CLOSED);
  await clock.advance(1_900);
  assert.equal(FakeEventSource.opened.length, 1);
  await clock.advance(100);
  assert.equal(FakeEventSource.opened.length, 2);
  source().fail(FakeEventSource.CLOSED);
  await clock.advance(2_000);
  assert.equal(FakeEventSource.opened.length, 3);
});

test("a connection that is silent for three heartbeats is replaced", async () => {
  await clock.advance(10_000);
  source().send("heartbeat");
  await clock.advance(30_000);
  assert.equal(FakeEventSource.opened.length, 1);
  await clock.advance(5_000);
  assert.equal(FakeEventSource.opened.length, 2);
  assert.equal(FakeEventSource.opened[0].readyState, FakeEventSource.CLOSED);
});

test("a connection that goes silent without an error is reported as lost, and so is its return", async () => {
  source().send("snapshot");
  await clock.advance(60_000);
  assert.deepEqual(connections, [true, false]);
  source().send("snapshot");
  assert.deepEqual(connections, [true, false, true]);
});

test("a silent connection that is replaced at once is not reported", async () => {
  source().send("snapshot");
  await clock.advance(35_000);
  source().send("snapshot");
  await clock.advance(10_000);
  assert.deepEqual(connections, [true, true]);
});

test("heartbeats keep a connection", async () => {
  for (let count = 0; count < 30; count++) {
    await clock.advance(10_000);
    source().send("heartbeat");
  }
  assert.equal(FakeEventSource.opened.length, 1);
});

test("a closed feed leaves no timer and no connection behind", async () => {
  source().fail(FakeEventSource.CLOSED);
  feed.close();
  assert.equal(clock.pending, 0);
  await clock.advance(60_000);
  assert.equal(FakeEventSource.opened.length, 1);
  assert.equal(source().readyState, FakeEventSource.CLOSED);
});
