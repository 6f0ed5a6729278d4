// Pixels of the canvas, and how it is blurred: a box blur three times over is close to a Gaussian blur.
const WIDTH = 64;
const HEIGHT = 36;
const BLUR_RADIUS = 5;
const BLUR_ROUNDS = 3;

/**
 * Draw a picture so small and soft that only its colours are left, to be stretched over the wall. It is blurred here,
 * once, because a full-screen CSS blur costs a slow machine every frame of every fade.
 *
 * @param {HTMLImageElement} image
 */
export function drawBackdrop(image) {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return canvas;
  const scale = Math.max(WIDTH / image.naturalWidth, HEIGHT / image.naturalHeight);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  context.drawImage(image, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height);
  const pixels = context.getImageData(0, 0, WIDTH, HEIGHT);
  for (let round = 0; round < BLUR_ROUNDS; round++) {
    blurLines(pixels.data, WIDTH, HEIGHT, 4, 4 * WIDTH, BLUR_RADIUS);
    blurLines(pixels.data, HEIGHT, WIDTH, 4 * WIDTH, 4, BLUR_RADIUS);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Average each of `lines` lines of `length` RGBA pixels over 2 × radius + 1 neighbours; the edge pixels repeat.
 *
 * @param {Uint8ClampedArray} data
 * @param {number} length
 * @param {number} lines
 * @param {number} step from one pixel of a line to the next, in values
 * @param {number} stride from one line to the next, in values
 * @param {number} radius
 */
export function blurLines(data, length, lines, step, stride, radius) {
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
