// Colours of canvases: those of the style sheet, and a ramp for the spectrogram in each theme.

const RAMPS = {
  light: [[255, 255, 255], [205, 224, 243], [111, 163, 214], [42, 96, 165], [12, 32, 78]],
  dark: [[18, 21, 27], [29, 52, 88], [47, 105, 165], [108, 176, 242], [236, 246, 255]],
};
const dark = matchMedia("(prefers-color-scheme: dark)");

export const onThemeChange = (listener) => dark.addEventListener("change", listener);
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// 256 colours as the 32 bits of a pixel. Bytes are R, G, B, A in memory, and all current machines are little-endian.
export function ramp() {
  const stops = RAMPS[dark.matches ? "dark" : "light"];
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    const [r, g, b] = stops[below].map((value, i) => value + (stops[below + 1][i] - value) * (place - below));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}
