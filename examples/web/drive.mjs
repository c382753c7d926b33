// Drive the page in headless Chromium, for tests and pictures. Standard input is a job in JSON, and standard
// output its results:
//
//   {"chromium": PATH, "url": URL, "microphone": WAV, "width": 1280, "height": 800, "theme": "dark", "init": JS,
//    "steps": [{"do": "drop", "file": PATH}, {"do": "listen", "windows": 3}, {"do": "picture", "file": PNG}]}
//
// Chromium resolves no name of another host, so the page has to do without a network.

import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const SLOW = 120_000; // milliseconds; a busy machine needs long to start Chromium and the runtime

// What the page scored: its samples, and the scores of each window. Runs in the page.
function scored() {
  const { recording, latest } = globalThis.listening;
  const plain = ({ start, end, scores }) => ({ start, end, scores: [...scores] });
  return {
    rate: recording.rate,
    samples: recording.open ? null : [...recording.samples(recording.start, recording.end)],
    windows: recording.windows.map(plain),
    latest: { ...plain(latest), samples: [...latest.samples] },
    status: document.getElementById("status").textContent,
    bars: [...document.querySelectorAll("#bars .name")].map((name) => name.textContent),
    moment: document.getElementById("moment").textContent,
  };
}

const steps = {
  // The browser's own drag and drop of a file, as a desktop sends it.
  async drop(page, { file }) {
    const session = await page.context().newCDPSession(page);
    const data = { items: [], files: [file], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await session.send("Input.dispatchDragEvent", { type, x: 200, y: 200, data });
    }
    return whenDone(page);
  },

  // Without a mouse: the first Tab goes to the file, Enter opens the dialog.
  async choose(page, { file }) {
    await page.keyboard.press("Tab");
    const dialog = page.waitForEvent("filechooser", { timeout: SLOW });
    await page.keyboard.press("Enter");
    await (await dialog).setFiles(file);
    return whenDone(page);
  },

  async key(page, { selector, key, times = 1 }) {
    await page.focus(selector);
    for (let time = 0; time < times; time++) await page.keyboard.press(key);
    await page.waitForTimeout(200); // a frame draws it
    return { ...(await page.evaluate(scored)), value: await page.inputValue("#cursor") };
  },

  // Returns the first position after the cursor has moved.
  async play(page) {
    const before = Number(await page.inputValue("#cursor"));
    await page.click("#play");
    const moved = (from) => {
      const now = Number(document.getElementById("cursor").value);
      return now !== from && now;
    };
    return (await page.waitForFunction(moved, before, { timeout: SLOW })).jsonValue();
  },

  async listen(page, { windows }) {
    await page.click("#microphone");
    const enough = (count) => {
      const { recording } = globalThis.listening;
      return recording?.open && recording.windows.length >= count;
    };
    await page.waitForFunction(enough, windows, { timeout: SLOW });
    return page.evaluate(scored);
  },

  async stop(page) {
    await page.click("#microphone");
    await page.waitForSelector("#playback:not([hidden])", { timeout: SLOW });
    return page.evaluate(scored);
  },

  async picture(page, { file }) {
    await page.waitForTimeout(300);
    await page.screenshot({ path: file, fullPage: true });
    // A page that is wider than the screen would scroll sideways.
    return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  },
};

async function whenDone(page) {
  await page.waitForFunction(() => / scored in |cannot/.test(document.getElementById("status").textContent), null, {
    timeout: SLOW,
  });
  await page.waitForTimeout(200);
  return (await page.evaluate(() => Boolean(globalThis.listening.latest))) ? page.evaluate(scored) : status(page);
}

async function status(page) {
  return { status: await page.textContent("#status") };
}

async function drive(job) {
  const browser = await chromium.launch({
    executablePath: job.chromium,
    chromiumSandbox: false, // Chromium's sandbox refuses the user root, which containers have
    timeout: SLOW,
    args: [
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      ...(job.microphone ? [`--use-file-for-fake-audio-capture=${job.microphone}`] : []),
    ],
  });
  try {
    const viewport = { width: job.width ?? 1280, height: job.height ?? 800 };
    const context = await browser.newContext({
      viewport,
      colorScheme: job.theme ?? "light",
      deviceScaleFactor: job.scale ?? 1,
    });
    const page = await context.newPage();
    const problems = [], hosts = new Set();
    context.on("request", (request) => hosts.add(new URL(request.url()).host));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("filechooser", () => {}); // Playwright takes dialogs over from now on; on the first key it is too late
    if (job.init) await page.addInitScript(job.init);
    await page.goto(job.url, { timeout: SLOW });
    await page.waitForSelector("#file:enabled", { timeout: SLOW });
    const results = [];
    for (const step of job.steps) results.push(await steps[step.do](page, step));
    return { results, problems, hosts: [...hosts].filter((host) => host) };
  } finally {
    await browser.close();
  }
}

process.stdout.write(JSON.stringify(await drive(JSON.parse(await text(process.stdin)))));
