import assert from "node:assert/strict";
import { test } from "node:test";
import { blurLines } from "../../../display/components/wall/backdrop.js";

/** A row of grey pixels, opaque. */
const row = (...values) => Uint8ClampedArray.from(values.flatMap((value) => [value, value, value, 255]));

test("pixels are averaged with their neighbours, and the edges repeat", () => {
  const pixels = row(0, 0, 90, 0, 30);
  blurLines(pixels, 5, 1, 4, 20, 1);
  assert.deepEqual(pixels, row(0, 30, 30, 40, 20));
});

test("columns are averaged like rows", () => {
  const pixels = row(0, 7, 90, 7, 0, 7); // three rows of two pixels
  blurLines(pixels, 3, 2, 8, 4, 1);
  assert.deepEqual(pixels, row(30, 7, 30, 7, 30, 7));
});
