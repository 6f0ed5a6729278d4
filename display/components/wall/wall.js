import { applyTheme, readAppearance, showBrand } from "../common/appearance.js";
import { systemClock } from "../common/clock.js";
import { find } from "../common/elements.js";
import { EventFeed } from "../common/event_feed.js";
import { formatCount, formatQueuePosition } from "../common/formatting.js";
import { Grid } from "./grid.js";
import { Hero } from "./hero.js";
import { PaintTimes } from "./paint_times.js";
import { Playlist } from "./playlist.js";
import { showQrCode } from "./qr_code.js";
import { Strip } from "./strip.js";

// Milliseconds at least until the playlist chooses again.
const MIN_DELAY = 50;

// Milliseconds until the wall asks again whether guests may send photos.
const INVITATION_RETRY_MS = 30_000;

/**
 * What `display/pages/wall.py` passes in; times are in seconds.
 *
 * @typedef {object} WallData
 * @property {import("../common/formatting.js").Texts} texts
 * @property {number} idle_after
 * @property {number} rotate_every
 * @property {string} screen the screen's name, "" for a wall without one
 * @property {boolean} reports_paint whether the display traces when dreams are painted
 */

/** @typedef {import("../common/appearance.js").Appearance} Appearance */

/** Shows the playlist, and keeps it up to date with the events of the display. */
class Wall {
  /** @type {Appearance | undefined} */
  #appearance;
  #invitationSize = new ResizeObserver(() => this.#fitInvitation());
  #isServerConnected = true;
  #isBrokerConnected = true;
  /** @type {unknown} */
  #timer;
  /** @type {unknown} */
  #invitationTimer;

  /**
   * @param {HTMLElement} root
   * @param {WallData} data
   */
  constructor(root, { texts, idle_after, rotate_every, screen, reports_paint }) {
    this.root = root;
    this.texts = texts;
    this.playlist = new Playlist({ idleAfter: 1000 * idle_after, rotateEvery: 1000 * rotate_every });
    const paintTimes = new PaintTimes((jobId) => {
      if (reports_paint) navigator.sendBeacon(`/painted/${jobId}`);
    });
    this.paintTimes = paintTimes;
    this.strip = new Strip(this.#find(".strip"), texts, paintTimes);
    this.grid = new Grid(this.#find(".grid"), texts, paintTimes);
    this.hero = new Hero(root, texts, paintTimes, () => this.#markStrip());
    root.lang = texts.language;
    this.#find(".send figcaption").textContent = texts.send_yours;
    this.#find(".reconnecting").textContent = texts.reconnecting;
    this.#showInvitation();
    this.#invitationSize.observe(this.#find(".invitation"));
    this.#inviteToSend();
    // The top layer is above everything that Streamlit draws: its styles, its dialogs and its dimming.
    root.popover = "manual";
    root.showPopover?.();
    this.feed = new EventFeed(screen ? `/feed?screen=${screen}` : "/feed", (event, eventId) => this.#handleEvent(event, eventId), {
      onConnectionChange: (isConnected) => {
        this.#isServerConnected = isConnected;
        this.#showConnection();
      },
    });
    document.addEventListener("visibilitychange", keepScreenOn);
    keepScreenOn();
  }

  /** Show the way to the upload page, as soon as the display offers it: a producer may start after the wall. */
  #inviteToSend() {
    const tryAgain = () => {
      this.#invitationTimer = systemClock.setTimeout(() => this.#inviteToSend(), INVITATION_RETRY_MS);
    };
    showQrCode(this.root, "send", "send", this.texts.qr_send, () => true, tryAgain);
  }

  close() {
    systemClock.clearTimeout(this.#timer);
    systemClock.clearTimeout(this.#invitationTimer);
    document.removeEventListener("visibilitychange", keepScreenOn);
    this.#invitationSize.disconnect();
    this.feed.close();
    this.grid.close();
    this.strip.close();
    this.hero.close();
  }

  /** @param {string} selector */
  #find(selector) {
    return find(selector, HTMLElement, this.root);
  }

  /**
   * @param {import("../common/event_feed.js").FeedEvent} event
   * @param {string} eventId
   */
  #handleEvent(event, eventId) {
    if (eventId) this.root.dataset.eventId = eventId;
    if ((event.kind === "snapshot" || event.kind === "broker") && event.body.connected !== undefined) {
      this.#isBrokerConnected = event.body.connected;
      this.#showConnection();
    }
    if (event.kind === "snapshot") this.#setUp(event.body.screen);
    if (event.kind === "dream") this.paintTimes.expect(event.body.job_id);
    this.#followAppearance(readAppearance(event));
    this.playlist.apply(event, systemClock.now());
    if (["gone", "ended", "snapshot"].includes(event.kind)) this.#removeGone();
    if (event.kind !== "heartbeat" && event.kind !== "broker") this.#update();
  }

  /** @param {import("../common/event_feed.js").ScreenState} screen */
  #setUp({ content, layout }) {
    if (content === "map") location.replace(`/map${location.search}`);
    this.root.dataset.content = content;
    this.root.dataset.layout = layout;
  }

  /** @param {Appearance | undefined} appearance */
  #followAppearance(appearance) {
    if (!appearance) return;
    this.#appearance = appearance;
    applyTheme(appearance);
    showBrand(this.#find(".brand"), appearance);
    this.#showInvitation();
  }

  // What the wall says while there is no dream, and the name of its page.
  #showInvitation() {
    const { title = "", subtitle = "", idle_text = "", logo = "" } = this.#appearance ?? {};
    const name = title || this.texts.name;
    document.title = name;
    this.#find(".invitation h1").textContent = name;
    this.#find(".invitation").style.setProperty("--letters", String([...name].length));
    this.#find(".subtitle").textContent = subtitle;
    this.#find(".idle").textContent = idle_text || this.texts.invitation;
    const image = find(".logo", HTMLImageElement, this.root);
    image.hidden = !logo;
    if (logo && image.getAttribute("src") !== logo) image.src = logo;
    this.#fitInvitation();
  }

  // Make everything as much smaller as it needs to stand above the code of the upload page.
  #fitInvitation() {
    const [invitation, last] = [this.#find(".invitation"), this.#find(".idle")];
    for (let percent = 100; percent >= 40; percent -= 5) {
      invitation.style.setProperty("--fit", String(percent / 100));
      const end = invitation.getBoundingClientRect().bottom - parseFloat(getComputedStyle(invitation).paddingBottom);
      if (last.getBoundingClientRect().bottom <= end) return;
    }
  }

  #showConnection() {
    this.#find(".reconnecting").hidden = this.#isServerConnected && this.#isBrokerConnected;
  }

  #update() {
    systemClock.clearTimeout(this.#timer);
    const chooseAt = this.playlist.choose(systemClock.now());
    if (chooseAt !== null) {
      this.#timer = systemClock.setTimeout(() => this.#update(), Math.max(MIN_DELAY, chooseAt - systemClock.now()));
    }
    if (this.root.dataset.layout === "grid") this.#showGrid();
    else this.#showCurrent();
    this.#showWaiting();
    this.strip.show(this.playlist.dreams);
    this.#markStrip();
  }

  /** Remove at once what was hidden, deleted or held: the picture that replaces it may take long to load. */
  #removeGone() {
    if (this.hero.jobId && !this.playlist.has(this.hero.jobId)) this.hero.clear("dark");
    this.grid.keepOnly((jobId) => this.playlist.has(jobId));
  }

  #showGrid() {
    const { dreams, running } = this.playlist;
    this.hero.clear();
    this.grid.show(this.playlist);
    if (dreams.length + running.size > 0) this.root.dataset.scene = "grid";
  }

  #showCurrent() {
    const { current, running } = this.playlist;
    this.grid.clear();
    if (current?.kind === "dream") return this.hero.showDream(current.dream);
    const job = current && running.get(current.jobId);
    if (job) return this.hero.showRunning(job);
    return this.hero.clear();
  }

  #showWaiting() {
    const { texts } = this;
    const { current, others, ahead, seconds } = this.playlist;
    let text = "";
    // A screen with dreams of its own does not show all that are on their way.
    if (this.root.dataset.content !== "newest") text = "";
    else if (ahead !== null && seconds !== null) text = formatQueuePosition(texts, ahead, seconds);
    else if (others > 0 && current?.kind === "emerging") text = formatCount(texts, others, "more");
    else if (others > 0) text = formatCount(texts, others, "waiting");
    else if (current?.kind === "dream") text = this.#appearance?.idle_text ?? "";
    this.#find(".waiting").textContent = text;
  }

  // A strip that holds nothing but the dream that is shown large is not shown.
  #markStrip() {
    const isDream = this.root.dataset.scene === "dream";
    const hasOthers = this.strip.mark(isDream ? this.hero.jobId : undefined);
    this.root.toggleAttribute("data-others", hasOthers);
  }
}

function keepScreenOn() {
  if (document.visibilityState !== "visible") return;
  navigator.wakeLock?.request("screen").catch(() => {}); // refused on batteries that run low
}

/** @type {WeakMap<HTMLElement, {wall: Wall, drawing: symbol}>} the wall in each root, and its latest drawing */
const walls = new WeakMap();

/**
 * Draw the wall: the entry point of a Streamlit component. Streamlit calls it at every run of its page, also when the
 * page comes back from a lost connection, and may end a drawing after it has begun the next one: only the end of the
 * latest one closes the wall.
 *
 * @param {{parentElement: HTMLElement, data: WallData}} component
 */
export default function showWall({ parentElement, data }) {
  const root = find(".wall", HTMLElement, parentElement);
  const wall = walls.get(root)?.wall ?? new Wall(root, data);
  const drawing = Symbol("drawing");
  walls.set(root, { wall, drawing });
  return () => {
    if (walls.get(root)?.drawing !== drawing) return;
    wall.close();
    walls.delete(root);
  };
}
