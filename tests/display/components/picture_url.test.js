import assert from "node:assert/strict";
import { test } from "node:test";
import { pictureUrl } from "../../../display/components/common/picture_url.js";

test("the parts of an object name are escaped, the slashes between them are not", () => {
  assert.equal(pictureUrl("dreams/0a1b/frames/00.jpg"), "/pictures/dreams/0a1b/frames/00.jpg");
  assert.equal(pictureUrl("photos/a b?#.jpg"), "/pictures/photos/a%20b%3F%23.jpg");
});
