import assert from "node:assert/strict";
import { test } from "node:test";
import { StyleCycle, findStyle, readInterval } from "../../../display/components/mirror/style_cycle.js";

const TIMES = { rotateEvery: 12_000, fadeFor: 1_500, holdFor: 60_000 };

const shares = (cycle, now) => [...cycle.advance(now)];

test("each style is shown alone, and fades into the next", () => {
  const cycle = new StyleCycle(3, TIMES, 0);
  assert.deepEqual(shares(cycle, 11_999), [255, 0, 0]);
  assert.deepEqual(shares(cycle, 12_000), [255, 0, 0]);
  assert.deepEqual(shares(cycle, 12_750), [128, 128, 0]);
  assert.equal(cycle.index, 1);
  assert.deepEqual(shares(cycle, 13_500), [0, 255, 0]);
  assert.deepEqual(shares(cycle, 23_999), [0, 255, 0]);
  cycle.advance(24_000);
  cycle.advance(36_000);
  assert.deepEqual(shares(cycle, 38_000), [255, 0, 0]);
});

test("the shares are parts of a whole at any time of a fade", () => {
  const cycle = new StyleCycle(4, TIMES, 0);
  for (let now = 0; now < 30_000; now += 130) {
    const sum = shares(cycle, now).reduce((total, share) => total + share);
    assert.ok(Math.abs(sum - 255) <= 2, `${sum} at ${now}`);
  }
});

test("a chosen style stays for a while, and then the others follow", () => {
  const cycle = new StyleCycle(3, TIMES, 0);
  cycle.choose(-1, 1_000);
  assert.equal(cycle.index, 2);
  assert.deepEqual(shares(cycle, 60_999), [0, 0, 255]);
  cycle.advance(61_000);
  assert.equal(cycle.index, 0);
});

test("a style that is chosen during a fade begins where the fade is", () => {
  const cycle = new StyleCycle(3, TIMES, 0);
  const during = shares(cycle, 12_000 + 600);
  cycle.choose(1, 12_600);
  assert.deepEqual(shares(cycle, 12_600 - 0), shares(cycle, 12_600));
  const after = shares(cycle, 12_610);
  assert.ok(after.every((share, style) => Math.abs(share - shares(cycle, 12_600)[style]) < 5));
  assert.ok(during[0] > 100);
  assert.deepEqual(shares(cycle, 14_200), [0, 0, 255]);
});

test("a pinned style stays, but can be changed by hand", () => {
  const cycle = new StyleCycle(3, { ...TIMES, rotateEvery: 0 }, 0, 1);
  assert.deepEqual(shares(cycle, 10 ** 9), [0, 255, 0]);
  cycle.choose(1, 10 ** 9);
  assert.deepEqual(shares(cycle, 2 * 10 ** 9), [0, 0, 255]);
});

test("a network with one style shows it", () => {
  const cycle = new StyleCycle(1, { ...TIMES, rotateEvery: 0 }, 0);
  cycle.choose(1, 100);
  assert.deepEqual(shares(cycle, 200), [255]);
});

test("a style is found by its name, however that is written", () => {
  const styles = ["Vincent van Gogh", "Albrecht Dürer", "Joan Miró"];
  for (const name of ["Vincent van Gogh", "vincent-van-gogh", "VAN GOGH", "gogh"]) assert.equal(findStyle(styles, name), 0);
  assert.equal(findStyle(styles, "durer"), 1);
  assert.equal(findStyle(styles, "joan miro"), 2);
  for (const name of ["", "rembrandt", "ogh", "-"]) assert.equal(findStyle(styles, name), -1);
});

test("a link says how long each style stays, if it names seconds", () => {
  assert.equal(readInterval("30", 12_000), 30_000);
  assert.equal(readInterval("2.5", 0), 2_500);
  assert.equal(readInterval("0.001", 12_000), 1_500);
  assert.equal(readInterval("0", 12_000), 0);
  for (const text of [null, "", "soon", "-3", "NaN"]) assert.equal(readInterval(text, 12_000), 12_000);
});
