// The windows of a recording are those of predict_long in rankaudio.

export function windowsOf(total, window, hop) {
  const last = Math.ceil(Math.max(0, total - window) / hop);
  const found = [];
  for (let start = 0; start <= last * hop && start < total; start += hop) {
    found.push({ start, end: Math.min(start + window, total) });
  }
  return found;
}

// The newest whole window of a running recording, if it is newer than the last one.
export function newestWindow(total, window, hop, last) {
  const start = Math.floor((total - window) / hop) * hop;
  return start < 0 || (last && start <= last.start) ? null : { start, end: start + window };
}

// The time for which a window decides. Two windows split the time that they share in its middle.
export function spanOf(windows, index) {
  const { start, end } = windows[index];
  const before = windows[index - 1], after = windows[index + 1];
  return {
    from: before && before.end > start ? (before.end + start) / 2 : start,
    to: after && after.start < end ? (after.start + end) / 2 : end,
  };
}

export function windowAt(windows, sample) {
  const index = windows.findLastIndex((_, k) => spanOf(windows, k).from <= sample);
  return windows[Math.max(index, 0)];
}
