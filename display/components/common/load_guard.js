// Loads the page again if one of its scripts or styles did not arrive: browsers cancel what they load when the network
// changes, even from their own machine, and a wall without its scripts stays dark. It is part of the page itself, as a
// script of its own might not arrive either.
{
  // Milliseconds until the display is asked whether it can serve the page, and between two such questions.
  const RETRY_AFTER = 2_000;

  let isWaiting = false;

  const loadAgain = async () => {
    // Not at once: a browser that cannot reach the display replaces the page with one of its own, which stays.
    const response = await fetch(location.href, { cache: "no-store" }).catch(() => null);
    if (response?.ok) location.reload();
    else setTimeout(loadAgain, RETRY_AFTER);
  };

  const scheduleReload = () => {
    if (!isWaiting) setTimeout(loadAgain, RETRY_AFTER);
    isWaiting = true;
  };

  /** @param {Event} event */
  const handleError = ({ target }) => {
    const isStyle = target instanceof HTMLLinkElement && target.rel === "stylesheet";
    if (target instanceof HTMLScriptElement || isStyle) scheduleReload();
  };

  addEventListener("error", handleError, true); // such errors do not bubble
  addEventListener("vite:preloadError", scheduleReload); // what Streamlit loads later, such as a component
}
