import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Playlist } from "../../../display/components/wall/playlist.js";

const EMPTY = { dreams: [], running: [], waiting: 0 };

let playlist;

beforeEach(() => {
  playlist = new Playlist({ idleAfter: 30_000, rotateEvery: 15_000 });
  playlist.apply({ kind: "snapshot", body: EMPTY }, 0);
});

/** Apply an event at a time in seconds; return what is current: “job” while it emerges, “job!” if it is a dream. */
function apply(second, kind = "heartbeat", body = {}) {
  playlist.apply({ kind, body }, 1000 * second);
  playlist.choose(1000 * second);
  const { current } = playlist;
  return current && (current.kind === "emerging" ? current.jobId : `${current.dream.job_id}!`);
}

const start = (second, job) => apply(second, "started", { job_id: job, frame: null });
const frame = (second, job) => apply(second, "frame", { job_id: job, frame: "f", fraction: 0.5 });
const dream = (second, job) => apply(second, "dream", { job_id: job, at: second });
const dreams = (...jobs) => jobs.map(([job_id, at]) => ({ job_id, at }));

test("a dream is watched to its end, and then stays for a while", () => {
  assert.equal(start(0, "a"), "a");
  assert.equal(start(1, "b"), "a");
  assert.equal(dream(2, "a"), "a!");
  assert.equal(frame(5, "b"), "a!");
  assert.equal(frame(6.1, "b"), "b");
  assert.equal(dream(7, "b"), "b!");
  assert.equal(start(30, "c"), "c");
});

test("the job that was started last takes a free wall", () => {
  start(0, "a");
  dream(1, "a");
  start(1, "b");
  start(2, "c");
  assert.equal(apply(5.1), "c");
});

test("a dream that ended behind another one is shown afterwards", () => {
  start(0, "a");
  start(0.1, "b");
  assert.equal(dream(1, "b"), "a");
  assert.equal(dream(2, "a"), "a!");
  assert.equal(apply(6.1), "b!");
});

test("a job that stalls gives way to one that does not", () => {
  start(0, "a");
  assert.equal(start(5, "b"), "a");
  assert.equal(frame(11, "b"), "b");
});

test("a job that falls silent gives the wall back", () => {
  dream(0, "old");
  assert.equal(start(10, "a"), "a");
  assert.equal(apply(69), "a");
  assert.equal(apply(71), "old!");
});

test("a wall that was disconnected shows what it missed, in order", () => {
  dream(0, "seen");
  const missed = { ...EMPTY, dreams: dreams(["second", 20], ["first", 10], ["seen", 0]) };
  assert.equal(apply(100, "snapshot", missed), "first!");
  assert.equal(apply(104.1), "second!");
  assert.equal(apply(108.2), "second!");
});

test("a new wall shows the newest dream, and none of the older ones after it", () => {
  const snapshot = { ...EMPTY, dreams: dreams(["new", 20], ["old", 10]) };
  assert.equal(apply(1, "snapshot", snapshot), "new!");
  assert.equal(apply(10), "new!");
});

test("an idle wall goes through its dreams from the newest on, and starts again", () => {
  apply(0, "snapshot", { ...EMPTY, dreams: dreams(["new", 20], ["middle", 10], ["old", 0]) });
  assert.equal(apply(29), "new!");
  assert.equal(apply(30), "middle!");
  assert.equal(apply(44), "middle!");
  assert.equal(apply(45), "old!");
  assert.equal(apply(60), "new!");
  assert.equal(start(61, "a"), "a");
});

test("a heartbeat does not keep a wall from being idle", () => {
  apply(0, "snapshot", { ...EMPTY, dreams: dreams(["new", 20], ["old", 10]) });
  for (let second = 10; second < 30; second += 10) assert.equal(apply(second), "new!");
  assert.equal(apply(30), "old!");
});

test("a dream that is taken down leaves the wall at once", () => {
  dream(0, "old");
  dream(5, "new");
  assert.equal(apply(10), "new!");
  assert.equal(apply(11, "gone", { job_id: "new" }), "old!");
  assert.equal(apply(12, "gone", { job_id: "old" }), null);
});

test("a dream that was taken down while the wall was disconnected is not shown again", () => {
  dream(0, "kept");
  dream(5, "hidden");
  assert.equal(apply(10), "hidden!");
  assert.equal(apply(20, "snapshot", { ...EMPTY, dreams: dreams(["kept", 0]) }), "kept!");
});

test("a wall has the jobs that run and the dreams that are done, but none that is taken down", () => {
  dream(0, "old");
  start(5, "a");
  for (const job of ["old", "a"]) assert.equal(playlist.has(job), true);
  dream(6, "a");
  assert.equal(playlist.has("a"), true);
  apply(7, "gone", { job_id: "a" });
  assert.equal(playlist.has("a"), false);
  apply(8, "snapshot", { ...EMPTY, running: [{ job_id: "b", silent: 0 }] });
  for (const [job, isThere] of [["old", false], ["b", true]]) assert.equal(playlist.has(job), isThere);
});

test("a job that ends without a dream gives the wall back", () => {
  dream(0, "old");
  assert.equal(start(10, "a"), "a");
  assert.equal(apply(11, "ended", { job_id: "a" }), "old!");
});

test("a snapshot counts how long its jobs have been silent", () => {
  const running = [{ job_id: "silent", silent: 55 }];
  assert.equal(apply(10, "snapshot", { ...EMPTY, running }), "silent");
  assert.equal(apply(16), null);
});

test("the wall is asked to choose again when its choice may change, and not before", () => {
  assert.equal(playlist.choose(0), null);
  dream(0, "old");
  assert.equal(playlist.choose(1_000), 4_000);
  start(10, "a");
  assert.equal(playlist.choose(11_000), 20_000);
  assert.equal(playlist.choose(21_000), 70_000);
});

test("photos that wait are counted, besides the one that is shown", () => {
  start(0, "a");
  start(1, "b");
  apply(2, "waiting", { waiting: 3, seconds: 40 });
  assert.deepEqual([playlist.others, playlist.ahead, playlist.seconds], [4, 4, 40]);
  apply(3, "waiting", { waiting: 3, seconds: null });
  assert.equal(playlist.ahead, null);
  apply(4, "waiting", { waiting: 0, seconds: null });
  assert.equal(playlist.others, 1);
});

test("only the newest dreams are kept", () => {
  for (let second = 0; second < 30; second++) dream(second, `job ${second}`);
  assert.equal(playlist.dreams.length, 24);
  assert.equal(playlist.dreams[0].job_id, "job 29");
});
