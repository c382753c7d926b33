// Classes over time: a row for each of the classes with the highest scores, coloured window by window.

import { prepare } from "./canvas.js";
import { colour } from "./colours.js";
import { drawCursor } from "./time-axis.js";
import { spanOf } from "./windows.js";

const ROWS = 8;

export function drawStrips(list, { classes, decisions, windows, axis, cursor }) {
  const indices = highestOverTime(windows, decisions);
  while (list.children.length > indices.length) list.lastChild.remove();
  indices.forEach((index, row) => {
    const item = list.children[row] ?? list.appendChild(newRow());
    const [name, canvas] = item.children;
    name.textContent = name.title = classes[index];
    drawStrip(canvas, { index, decisions, windows, axis, cursor });
  });
}

function highestOverTime(windows, decisions) {
  if (!windows.length) return [];
  const highest = windows[0].scores.map((_, index) => Math.max(...windows.map(({ scores }) => scores[index])));
  return decisions.highest(highest, ROWS);
}

function newRow() {
  const item = document.createElement("li");
  item.className = "row";
  item.append(document.createElement("span"), document.createElement("canvas"));
  return item;
}

function drawStrip(canvas, { index, decisions, windows, axis, cursor }) {
  const { context, width, height } = prepare(canvas);
  windows.forEach(({ scores }, k) => {
    const { from, to } = spanOf(windows, k);
    const score = scores[index], present = decisions.isPresent(score, index);
    const x = Math.round(axis.x(from, width)), end = Math.round(axis.x(to, width)); // no seams between windows
    context.fillStyle = colour(present === false ? "soft" : "accent");
    // The square leaves low scores pale. A class that reaches its threshold is never pale.
    const share = decisions.share(score, index) ** 2;
    context.globalAlpha = present ? 0.4 + 0.6 * share : share;
    context.fillRect(x, 0, end - x, height);
  });
  context.globalAlpha = 1;
  drawCursor(context, axis.x(cursor, width), width, height);
}
