/** Tiles of the largest grid; beyond that, pictures become too small to be seen from a distance. */
export const MAX_TILES = 12;

/**
 * Choose columns and rows of a grid without empty tiles, in which pictures of 4:3 are large and many.
 *
 * @param {number} width of the screen, in any unit
 * @param {number} height in the same unit
 * @param {number} count how many pictures there are, 1 at least; those that find no tile take turns
 */
export function chooseTiling(width, height, count) {
  let best = { columns: 1, rows: 1, score: 0 };
  for (let columns = 1; columns <= MAX_TILES; columns++) {
    for (let rows = 1; columns * rows <= Math.min(count, MAX_TILES); rows++) {
      const side = Math.min(width / columns / 4, height / rows / 3);
      const score = side ** 2 * (columns * rows) ** 1.5;
      if (score > best.score) best = { columns, rows, score };
    }
  }
  return { columns: best.columns, rows: best.rows };
}

/**
 * Give each picture a tile, so that only tiles change whose picture is to disappear.
 *
 * @param {string[]} tiles the job id in each tile before
 * @param {string[]} jobIds the job ids to be shown, one for each tile
 * @returns {string[]} the job id in each tile
 */
export function assignTiles(tiles, jobIds) {
  const kept = jobIds.map((_, index) => (jobIds.includes(tiles[index]) ? tiles[index] : undefined));
  const added = jobIds.filter((jobId) => !kept.includes(jobId));
  return kept.map((jobId) => jobId ?? /** @type {string} */ (added.shift()));
}
