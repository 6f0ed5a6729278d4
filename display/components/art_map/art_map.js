import { applyTheme, followAppearance, showBrand } from "../common/appearance.js";
import { DreamDialog } from "../common/dream_dialog.js";
import { create, find, readPageData } from "../common/elements.js";
import { EventFeed } from "../common/event_feed.js";
import { fill } from "../common/formatting.js";
import { showNavigation } from "../common/navigation.js";
import { encodeName } from "../common/picture_url.js";
import { DreamPaths } from "./dream_paths.js";

/**
 * @typedef {import("../common/event_feed.js").Dream} Dream
 *
 * What `/map/paintings` answers: for each painting its place, the index of its artist and the name of its picture, ""
 * if the installation may not show it; and the newest dreams that have a place on this map.
 * @typedef {object} PaintingMap
 * @property {string} network
 * @property {string[]} artists
 * @property {number[]} x
 * @property {number[]} y
 * @property {number[]} artist
 * @property {string[]} picture
 * @property {Dream[]} dreams
 *
 * What is used of Plotly, which the page loads before this module.
 * @typedef {{range: [number, number], l2p: (value: number) => number, _offset: number}} Axis
 * @typedef {{points: {customdata: number}[], event: MouseEvent}} HoverEvent
 * @typedef {HTMLElement & {
 *   _fullLayout: {xaxis: Axis, yaxis: Axis},
 *   on: (kind: string, listener: (event: HoverEvent) => void) => void,
 * }} Chart
 * @typedef {object} PlotlyLibrary
 * @property {(chart: HTMLElement, traces: object[], layout: object, options: object) => Promise<Chart>} newPlot
 * @property {(chart: HTMLElement, changes: object) => Promise<Chart>} relayout
 * @property {(chart: HTMLElement, changes: object) => Promise<Chart>} restyle
 */

/** @type {import("../common/formatting.js").Texts} */
const texts = readPageData("texts");

// Milliseconds until a map that is not there yet is requested again.
const RETRY_AFTER = 5_000;

// Milliseconds within which a map that may have missed something asks for it: not all of them ask at once.
const REFRESH_WITHIN = 2_000;

const MAX_DREAMS = 12;
const ZOOM_STEP = 1.5;
const CLEAR = "rgba(0, 0, 0, 0)";
const OPACITY = 0.75;
const SHADOW_OPACITY = 0.06;

// Pixels from which on the legend is open beside the map.
const WIDE = 800;

const plotly = () => /** @type {{Plotly: PlotlyLibrary}} */ (/** @type {unknown} */ (globalThis)).Plotly;

/**
 * Colours that differ as much as so many can: hues by the golden angle, lighter and darker in turns.
 *
 * @param {number} index
 */
const artistColour = (index) => {
  const lightness = document.documentElement.dataset.theme === "light" ? [42, 34, 50] : [64, 76, 56];
  return `hsl(${Math.round((index * 137.508) % 360)}, ${[62, 48, 78][index % 3]}%, ${lightness[index % 3]}%)`;
};

/** Thousands of paintings, drawn on the graphics card, with a few dreams above them. */
class ArtMap {
  /** @type {number | undefined} */
  #isolatedArtist;

  /**
   * @param {PaintingMap} map
   * @param {string | null} jobId of the dream to highlight; the newest if it is not on the map
   */
  constructor(map, jobId) {
    this.map = map;
    /** @type {Dream[]} newest first */
    this.dreams = [];
    this.jobId = jobId;
    this.bounds = { x: findBounds(map.x), y: findBounds(map.y) };
    this.card = find(".card");
    this.dialog = new DreamDialog(texts);
    this.paths = new DreamPaths(find(".paths", SVGSVGElement), texts, {
      onOpen: (dream) => this.dialog.open(dream),
      onFocus: (dream) => this.#bringIntoView(dream),
    });
  }

  async draw() {
    const { map } = this;
    const count = map.x.length.toLocaleString(texts.language);
    find(".count").textContent = fill(texts.map_count, { count, artists: map.artists.length });
    const options = { scrollZoom: true, displayModeBar: false, responsive: true, doubleClick: "reset" };
    this.chart = await plotly().newPlot(find(".chart"), this.#createTraces(), this.#createLayout(), options);
    this.chart.on("plotly_hover", ({ points, event }) => this.#showCard(points[0].customdata, event));
    this.chart.on("plotly_unhover", () => (this.card.hidden = true));
    for (const moved of ["plotly_relayouting", "plotly_relayout", "plotly_afterplot"]) {
      this.chart.on(moved, () => this.#showDreams());
    }
    this.#showLegend();
    this.#showDreams();
    find(".nearer").addEventListener("click", () => this.#zoom(1 / ZOOM_STEP));
    find(".farther").addEventListener("click", () => this.#zoom(ZOOM_STEP));
    find(".whole").addEventListener("click", () => this.#setRanges(this.bounds.x, this.bounds.y));
  }

  /** Draw the artists' colours again, after the page has become light or dark. */
  recolour() {
    const dots = /** @type {NodeListOf<HTMLElement>} */ (find(".legend ul").querySelectorAll("i"));
    dots.forEach((dot, index) => (dot.style.background = artistColour(index)));
    const colours = this.map.artists.map((_, index) => artistColour(index));
    if (this.chart) plotly().restyle(this.chart, { "marker.color": colours });
  }

  /**
   * Show these dreams, and what has happened since they were listed.
   *
   * @param {Dream[]} dreams
   * @param {import("../common/event_feed.js").FeedEvent[]} events
   */
  restore(dreams, events) {
    this.dreams = dreams.filter((dream) => this.#isHere(dream));
    for (const event of events) this.handleEvent(event);
    this.dialog.closeUnlessAmong(this.dreams);
    this.#showDreams();
  }

  /** @param {import("../common/event_feed.js").FeedEvent} event */
  handleEvent({ kind, body }) {
    if (kind === "snapshot") {
      this.#takeIn(body);
      this.dialog.closeUnlessAmong(this.dreams);
      this.#showDreams();
    }
    if (kind === "dream" && this.#isHere(body)) {
      const others = this.dreams.filter((dream) => dream.job_id !== body.job_id);
      this.dreams = [body, ...others].slice(0, MAX_DREAMS);
      this.#showDreams();
    }
    if (kind === "gone") {
      this.dreams = this.dreams.filter((dream) => dream.job_id !== body.job_id);
      this.dialog.closeIfShown(body.job_id);
      this.#showDreams();
    }
  }

  /**
   * Tell whether this map may have dreams that a snapshot does not: it has the newest of all, on this map or not.
   *
   * @param {import("../common/event_feed.js").Snapshot} snapshot
   */
  mayHaveEarlier({ dreams, count }) {
    return count > dreams.length && dreams.filter((dream) => this.#isHere(dream)).length < MAX_DREAMS;
  }

  /**
   * Take in what was added or hidden unseen. A snapshot has the newest of all dreams, on this map or not,
   * so what is as new, but not in it, is gone.
   *
   * @param {import("../common/event_feed.js").Snapshot} snapshot
   */
  #takeIn({ dreams, count }) {
    const [oldest, hasEarlier] = [dreams.at(-1), count > dreams.length];
    const earlier = this.dreams.filter((dream) => hasEarlier && oldest && dream.at < oldest.at);
    const newest = dreams.filter((dream) => this.#isHere(dream));
    this.dreams = [...newest, ...earlier].slice(0, MAX_DREAMS);
  }

  /** @param {Dream} dream */
  #isHere(dream) {
    return dream.place?.network === this.map.network;
  }

  // One trace for each artist, so that each has a colour and can be isolated.
  #createTraces() {
    const { artists, artist, x, y } = this.map;
    const traces = artists.map((name, index) => ({
      type: "scattergl",
      mode: "markers",
      name,
      x: /** @type {number[]} */ ([]),
      y: /** @type {number[]} */ ([]),
      customdata: /** @type {number[]} */ ([]),
      hoverinfo: "none",
      marker: { color: artistColour(index), size: 5, opacity: OPACITY },
    }));
    artist.forEach((index, painting) => {
      traces[index].x.push(x[painting]);
      traces[index].y.push(y[painting]);
      traces[index].customdata.push(painting);
    });
    return traces;
  }

  #createLayout() {
    const axis = { visible: false, fixedrange: false };
    return {
      xaxis: { ...axis, range: [...this.bounds.x] },
      yaxis: { ...axis, range: [...this.bounds.y], scaleanchor: "x" },
      dragmode: "pan",
      hovermode: "closest",
      margin: { l: 0, r: innerWidth >= WIDE ? find(".legend").offsetWidth : 0, t: 0, b: 0 },
      paper_bgcolor: CLEAR,
      plot_bgcolor: CLEAR,
      showlegend: false,
    };
  }

  #showLegend() {
    const items = this.map.artists.map((name, index) => {
      const dot = create("i");
      dot.style.background = artistColour(index);
      const button = create("button", { ariaPressed: "false" }, dot, name);
      button.addEventListener("click", () => this.#isolate(this.#isolatedArtist === index ? undefined : index));
      return create("li", {}, button);
    });
    find(".legend ul").replaceChildren(...items);
  }

  /**
   * Show one artist's paintings in full colour and all others dark, or all of them alike.
   *
   * @param {number | undefined} artist
   */
  #isolate(artist) {
    this.#isolatedArtist = artist;
    const legend = find(".legend");
    legend.toggleAttribute("data-chosen", artist !== undefined);
    legend.querySelectorAll("button").forEach((button, index) => (button.ariaPressed = String(index === artist)));
    const opacity = this.map.artists.map((_, index) => {
      if (artist === undefined) return OPACITY;
      return index === artist ? 1 : SHADOW_OPACITY;
    });
    if (this.chart) plotly().restyle(this.chart, { "marker.opacity": opacity });
  }

  /**
   * Show who painted a painting, and the painting itself if that is allowed.
   *
   * @param {number} painting
   * @param {MouseEvent} pointer
   */
  #showCard(painting, { clientX, clientY }) {
    const { card } = this;
    const artist = this.map.artists[this.map.artist[painting]];
    const name = this.map.picture[painting];
    const image = find(".card img", HTMLImageElement);
    image.hidden = !name;
    if (name) image.src = `/map/${encodeName(name)}`;
    image.alt = fill(texts.map_painting, { artist });
    find(".card p").textContent = artist;
    card.hidden = false;
    const move = () => {
      const { width, height } = card.getBoundingClientRect();
      card.style.left = `${Math.min(clientX + 16, innerWidth - width - 8)}px`;
      card.style.top = `${Math.min(Math.max(8, clientY - height / 2), innerHeight - height - 8)}px`;
    };
    image.onload = move; // its size is known now
    move();
  }

  #showDreams() {
    if (!this.chart) return;
    const { xaxis, yaxis } = this.chart._fullLayout;
    const isKnown = this.dreams.some((dream) => dream.job_id === this.jobId);
    const highlighted = isKnown ? this.jobId : this.dreams[0]?.job_id;
    this.paths.show(this.dreams, highlighted, ([x, y]) => [xaxis.l2p(x) + xaxis._offset, yaxis.l2p(y) + yaxis._offset]);
  }

  /**
   * Move the map if the place of a dream is beyond its edges.
   *
   * @param {Dream} dream
   */
  #bringIntoView({ place }) {
    if (!this.chart || !place) return;
    const { xaxis, yaxis } = this.chart._fullLayout;
    const ranges = [xaxis.range, yaxis.range];
    if (ranges.every(([low, high], axis) => low < place.dream[axis] && place.dream[axis] < high)) return;
    const [x, y] = ranges.map((range, axis) => moveRange(range, place.dream[axis]));
    this.#setRanges(x, y);
  }

  /** @param {number} factor by which more of the map is seen */
  #zoom(factor) {
    if (!this.chart) return;
    const { xaxis, yaxis } = this.chart._fullLayout;
    this.#setRanges(scaleRange(xaxis.range, factor), scaleRange(yaxis.range, factor));
  }

  /**
   * @param {[number, number]} x
   * @param {[number, number]} y
   */
  #setRanges(x, y) {
    if (this.chart) plotly().relayout(this.chart, { "xaxis.range": [...x], "yaxis.range": [...y] });
  }
}

/**
 * Return the least and the greatest of many numbers, with a margin around them.
 *
 * @param {number[]} values
 * @returns {[number, number]}
 */
function findBounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}

/**
 * @param {[number, number]} range
 * @param {number} factor
 * @returns {[number, number]}
 */
function scaleRange([low, high], factor) {
  const [centre, half] = [(low + high) / 2, (factor * (high - low)) / 2];
  return [centre - half, centre + half];
}

/**
 * @param {[number, number]} range
 * @param {number} centre
 * @returns {[number, number]}
 */
const moveRange = ([low, high], centre) => [centre - (high - low) / 2, centre + (high - low) / 2];

/** @type {ArtMap | undefined} */
let artMap;

/** @type {import("../common/event_feed.js").FeedEvent[] | undefined} since the map was requested, until it is there */
let eventsMeanwhile;

/** @type {number | undefined} */
let loadTimer;

let isConnected = false;

/**
 * Return the map; what is wrong with the one in the store if there is none that can be shown; neither if the answer did
 * not arrive as a whole.
 *
 * @returns {Promise<{map?: PaintingMap, fault?: string}>}
 */
async function fetchMap() {
  try {
    const response = await fetch("/map/paintings");
    if (response.ok) return { map: await response.json() };
    return response.status === 404 ? await response.json() : {};
  } catch {
    return {};
  }
}

/** @param {number} delay in milliseconds */
function scheduleLoad(delay) {
  clearTimeout(loadTimer);
  loadTimer = setTimeout(loadMap, delay);
}

// Show the map as soon as the store has one; until then, say what this page is for. One that is shown gets its dreams again.
async function loadMap() {
  /** @type {import("../common/event_feed.js").FeedEvent[]} */
  const events = [];
  eventsMeanwhile = events;
  const { map, fault } = await fetchMap();
  if (events !== eventsMeanwhile) return; // it was requested once more
  if (map) eventsMeanwhile = undefined;
  else scheduleLoad(RETRY_AFTER);
  if (artMap) {
    if (map) artMap.restore(map.dreams, events);
    return;
  }
  find(".empty").hidden = Boolean(map);
  find(".tools").hidden = !map;
  if (!map) {
    const isMissing = fault !== undefined;
    document.body.dataset.scene = "empty";
    find(".guest").textContent = isMissing ? texts.map_empty : texts.reconnecting;
    find(".operator").textContent = isMissing ? fault || texts.map_operator : "";
    return;
  }
  const legend = find(".legend", HTMLDetailsElement);
  legend.hidden = false;
  legend.open = innerWidth >= WIDE && !screenName;
  artMap = new ArtMap(map, new URLSearchParams(location.search).get("job"));
  artMap.restore(map.dreams, events);
  await artMap.draw();
  document.body.dataset.scene = "map";
}

/** Of the screen that shows the map for as long as the operator wants it to; null for guests. */
const screenName = new URLSearchParams(location.search).get("screen");

/** @param {import("../common/event_feed.js").FeedEvent} event */
function handleEvent(event) {
  if (screenName && event.kind === "snapshot" && event.body.screen.content !== "map") {
    location.replace(`/${location.search}`);
  }
  const { dataset } = document.documentElement;
  const themeBefore = dataset.theme;
  followAppearance(event);
  if (dataset.theme !== themeBefore) artMap?.recolour();
  eventsMeanwhile?.push(event);
  artMap?.handleEvent(event);
  if (event.kind === "snapshot") {
    // Later ones than the first: the display was away, has read the store, or begins an event.
    if (isConnected && (!artMap || artMap.mayHaveEarlier(event.body))) scheduleLoad(Math.random() * REFRESH_WITHIN);
    isConnected = true;
  }
}

showNavigation(texts);
document.body.toggleAttribute("data-screen", Boolean(screenName));
applyTheme(readPageData("appearance"));
showBrand(find(".brand"), readPageData("appearance"));
find("h1").textContent = texts.map;
find(".guest").textContent = texts.map_empty;
find(".operator").textContent = texts.map_operator;
find("summary").textContent = texts.map_artists;
for (const name of ["nearer", "farther", "whole"]) find(`.${name}`).ariaLabel = texts[`map_${name}`];
loadMap();
new EventFeed(`/feed${screenName ? location.search : ""}`, handleEvent);
