import assert from "node:assert/strict";
import { test } from "node:test";
import { assignTiles, chooseTiling, MAX_TILES } from "../../../display/components/wall/tiling.js";

const SCREENS = { wide: [1920, 1080], projector: [1024, 768], upright: [1080, 1920], band: [5760, 1080] };

test("no tile of a grid is empty, and few pictures have to wait for one", () => {
  for (const [width, height] of Object.values(SCREENS)) {
    for (let count = 1; count <= 40; count++) {
      const { columns, rows } = chooseTiling(width, height, count);
      assert.ok(columns * rows <= Math.min(count, MAX_TILES), `${count} on ${width} × ${height}`);
      assert.ok(columns * rows >= Math.min(count, MAX_TILES) / 3, `${count} on ${width} × ${height}`);
    }
  }
});

test("a grid suits the shape of its screen", () => {
  assert.deepEqual(chooseTiling(...SCREENS.wide, 12), { columns: 4, rows: 3 });
  assert.deepEqual(chooseTiling(...SCREENS.projector, 9), { columns: 3, rows: 3 });
  assert.deepEqual(chooseTiling(...SCREENS.upright, 12), { columns: 2, rows: 5 });
  assert.deepEqual(chooseTiling(...SCREENS.band, 12), { columns: 6, rows: 2 });
  assert.deepEqual(chooseTiling(...SCREENS.wide, 1), { columns: 1, rows: 1 });
});

test("a screen that has no size yet has one tile", () => {
  assert.deepEqual(chooseTiling(0, 0, 12), { columns: 1, rows: 1 });
});

test("only the tiles change whose picture disappears", () => {
  assert.deepEqual(assignTiles([], ["a", "b", "c"]), ["a", "b", "c"]);
  assert.deepEqual(assignTiles(["a", "b", "c"], ["d", "a", "b"]), ["a", "b", "d"]);
  assert.deepEqual(assignTiles(["a", "b", "c"], ["c", "d", "e"]), ["d", "e", "c"]);
});

test("a grid that grows or shrinks keeps its pictures", () => {
  assert.deepEqual(assignTiles(["a", "b"], ["c", "a", "b"]), ["a", "b", "c"]);
  assert.deepEqual(assignTiles(["a", "b", "c", "d"], ["d", "a"]), ["a", "d"]);
});
