// The easel: pictures that fade into one another. A picture is decoded before it is hung, so nothing ever flickers.

// Milliseconds. Pictures change at most three times a second (WCAG 2.3.1).
const BETWEEN_PICTURES = 350;
const FADE = 700;
const FIRST_RETRY = 400;
const LAST_RETRY = 8_000;

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// When the pixels of an element that was just put into the page are on the screen, in epoch milliseconds.
const painted = () =>
  new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.timeOrigin + performance.now()))),
  );

// Fetch and decode a picture; throws where that fails.
async function decoded(source) {
  const image = new Image();
  image.decoding = "async";
  image.src = source;
  await image.decode();
  return image;
}

// Put a picture over what is there, let it fade in, then take away what it covers.
function fadeIn(place, element, duration) {
  for (const covered of [...place.children].slice(0, -2)) covered.remove();
  place.append(element);
  const fading = element.animate([{ opacity: 0 }, { opacity: 1 }], { duration, easing: "ease-in-out" });
  fading.onfinish = () => {
    while (place.firstElementChild !== element && element.parentNode === place) place.firstElementChild.remove();
  };
}

// Take what hangs somewhere out of the page's order and let it fade where it was, whatever takes its place.
function fadeOut(place, stage, duration) {
  const element = place.lastElementChild;
  const { left, top, width, height } = place.getBoundingClientRect();
  place.replaceChildren();
  if (!element || width === 0) return;
  const ghost = element.cloneNode();
  ghost.className = "ghost";
  for (const name of Object.keys(ghost.dataset)) delete ghost.dataset[name];
  Object.assign(ghost.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  stage.append(ghost);
  ghost.animate([{ opacity: 1 }, { opacity: 0 }], { duration, easing: "ease-in-out" }).onfinish = () => ghost.remove();
}

// Always on the way to the picture that was asked for last; those asked for meanwhile are left out.
class Easel {
  // hang(image, picture) puts a decoded picture in its place.
  constructor(hang) {
    this.hang = hang;
    this.hungAt = -Infinity;
  }

  // picture: {source, hurry, …}; `hurry` hangs it without regard to when the last one was hung, and waits for none.
  async show(picture) {
    this.wanted = picture;
    if (picture.hurry) this.interrupt?.();
    if (this.busy) return;
    this.busy = true;
    let wait = FIRST_RETRY;
    while (this.wanted) {
      const next = this.wanted;
      const interrupted = new Promise((done) => { this.interrupt = done; });
      try {
        const image = await Promise.race([decoded(next.source), interrupted]);
        const rest = this.hungAt + BETWEEN_PICTURES - performance.now();
        if (rest > 0 && !next.hurry) await Promise.race([pause(rest), interrupted]);
        // Of another job by now: what was loaded belongs to nobody's dream any more. And a dream that is done does not
        // wait for a frame of it.
        if (!image || this.wanted?.job_id !== next.job_id || (this.wanted !== next && this.wanted.hurry)) continue;
        if (this.wanted === next) this.wanted = undefined;
        this.hungAt = performance.now();
        this.hang(image, next);
        wait = FIRST_RETRY;
      } catch {
        // The store is away. What hangs stays until the picture, or a newer one, can be had.
        await Promise.race([pause(wait), interrupted]);
        wait = Math.min(2 * wait, LAST_RETRY);
      }
    }
    this.busy = false;
  }
}

// The backdrop: the picture, so small and soft that only its colours are left, stretched over the wall.
// Blurred once, by hand, because a full-screen CSS blur costs a slow machine every frame of every fade.
function backdrop(image) {
  const [width, height, radius, rounds] = [64, 36, 5, 3];
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const scale = Math.max(width / image.naturalWidth, height / image.naturalHeight);
  const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  const pixels = context.getImageData(0, 0, width, height);
  for (let round = 0; round < rounds; round++) {
    boxBlur(pixels.data, width, height, 4, 4 * width, radius);
    boxBlur(pixels.data, height, width, 4 * width, 4, radius);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Average each of `lines` lines of `length` RGBA pixels over 2 × radius + 1 neighbours; the edge pixels repeat.
function boxBlur(data, length, lines, step, stride, radius) {
  const line = new Float32Array(length);
  for (let number = 0; number < lines; number++) {
    for (let channel = 0; channel < 3; channel++) {
      const start = number * stride + channel;
      for (let at = 0; at < length; at++) line[at] = data[start + at * step];
      for (let at = 0; at < length; at++) {
        let sum = 0;
        for (let by = -radius; by <= radius; by++) sum += line[Math.min(length - 1, Math.max(0, at + by))];
        data[start + at * step] = sum / (2 * radius + 1);
      }
    }
  }
}
