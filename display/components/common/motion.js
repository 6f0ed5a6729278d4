/** Whether the reader asked the system for as little motion as possible. */
export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
