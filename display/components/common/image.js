/**
 * Fetch and decode a picture, so that it can be shown without flicker. Rejects if that fails.
 *
 * @param {string} source
 */
export async function loadImage(source) {
  const image = new Image();
  image.decoding = "async";
  image.src = source;
  await image.decode();
  return image;
}

/** @param {HTMLImageElement} image */
export const aspectRatio = (image) => String(image.naturalWidth / image.naturalHeight);
