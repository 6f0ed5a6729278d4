import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Crossfade, isSuperseded } from "../../../display/components/wall/crossfade.js";
import { FakeClock, settle } from "./fake_clock.js";

let clock, crossfade, shown, loads;

/** Loads that the test ends: `loads.get(source).resolve("image")`, or `.reject()`. */
function load(source) {
  return new Promise((resolve, reject) => loads.set(source, { resolve: () => resolve(`image of ${source}`), reject }));
}

beforeEach(() => {
  [clock, shown, loads] = [new FakeClock(), [], new Map()];
  crossfade = new Crossfade((_, picture) => shown.push(picture.source), { load, clock });
});

const request = (source, jobId = "a", immediate = false) => crossfade.request({ source, jobId, immediate });

async function finish(source) {
  loads.get(source).resolve();
  await settle();
}

test("a picture is shown once it is decoded", async () => {
  request("1");
  await settle();
  assert.deepEqual(shown, []);
  await finish("1");
  assert.deepEqual(shown, ["1"]);
});

test("pictures change at most three times a second", async () => {
  request("1");
  await finish("1");
  request("2");
  await finish("2");
  await clock.advance(340);
  assert.deepEqual(shown, ["1"]);
  await clock.advance(10);
  assert.deepEqual(shown, ["1", "2"]);
});

test("pictures that were requested while another one was loading are skipped, but for the last", async () => {
  for (const source of ["1", "2", "3"]) request(source);
  await finish("1");
  await finish("3");
  await clock.advance(350);
  assert.deepEqual(shown, ["1", "3"]);
  assert.deepEqual([...loads.keys()], ["1", "3"]);
});

test("a finished dream waits neither for a frame that is loading nor for its turn", async () => {
  request("1");
  await finish("1");
  request("frame that never arrives");
  request("dream", "a", true);
  await settle();
  await finish("dream");
  assert.deepEqual(shown, ["1", "dream"]);
});

test("a picture of a job that is no longer wanted is not shown", async () => {
  request("1", "a");
  request("2", "b");
  await finish("1");
  await finish("2");
  assert.deepEqual(shown, ["2"]);
});

test("a picture that cannot be loaded is tried again, less and less often", async () => {
  const attempts = [];
  crossfade = new Crossfade((_, picture) => shown.push(picture.source), {
    load: (source) => {
      attempts.push(clock.now());
      return attempts.length < 8 ? Promise.reject(new Error("The store is unavailable.")) : Promise.resolve(source);
    },
    clock,
  });
  request("1");
  await clock.advance(60_000);
  assert.deepEqual(attempts, [0, 400, 1_200, 2_800, 6_000, 12_400, 20_400, 28_400]);
  assert.deepEqual(shown, ["1"]);
});

test("a picture that never arrives is asked for again", async () => {
  const attempts = [];
  crossfade = new Crossfade((_, picture) => shown.push(picture.source), {
    load: (source) => {
      attempts.push(clock.now());
      return attempts.length < 2 ? new Promise(() => {}) : Promise.resolve(source);
    },
    clock,
  });
  request("1");
  await clock.advance(60_000);
  assert.deepEqual(attempts, [0, 20_400]);
  assert.deepEqual(shown, ["1"]);
  assert.equal(clock.pending, 0);
});

test("a finished dream ends the wait for another attempt", async () => {
  request("1");
  await settle();
  loads.get("1").reject(new Error("The store is unavailable."));
  await settle();
  request("dream", "a", true);
  await settle();
  await finish("dream");
  assert.deepEqual(shown, ["dream"]);
});

test("a picture that was cancelled is not shown, and another one can be requested", async () => {
  request("1");
  crossfade.cancel();
  await finish("1");
  assert.deepEqual(shown, []);
  request("2");
  await finish("2");
  assert.deepEqual(shown, ["2"]);
});

test("only another job, a finished dream, or nothing at all supersedes a picture", () => {
  const frame = { source: "1", jobId: "a", immediate: false };
  assert.equal(isSuperseded(frame, frame), false);
  assert.equal(isSuperseded(frame, { ...frame, source: "2" }), false);
  assert.equal(isSuperseded(frame, { ...frame, source: "dream", immediate: true }), true);
  assert.equal(isSuperseded(frame, { ...frame, jobId: "b" }), true);
  assert.equal(isSuperseded(frame, undefined), true);
  const dream = { ...frame, immediate: true };
  assert.equal(isSuperseded(dream, dream), false);
});
