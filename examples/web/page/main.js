// Wires the controls to the parts: files and the microphone make a recording, and the view draws it.

import { decode } from "./audio-file.js";
import { Decisions } from "./decisions.js";
import { acceptDrops } from "./drop.js";
import { Listener } from "./listener.js";
import { Player } from "./player.js";
import { Recording } from "./recording.js";
import { Scorer } from "./scorer.js";
import { View } from "./view.js";
import { windowsOf } from "./windows.js";

const $ = (id) => document.getElementById(id);
const say = (text) => { $("status").textContent = text; };
const player = new Player();
const scorer = new Scorer();
let model, view, listener;
let turn = 0; // a new recording ends the work on the one before

// Tests read here what was scored: the recording, and the newest window with its samples.
const listening = (globalThis.listening = {});

start().catch((error) => say(`The page cannot start: ${error.message}`));

async function start() {
  model = await (await fetch("model.json")).json();
  const seconds = model.window / model.sampleRate;
  $("about").textContent =
    `${model.classes.length} classes, ${model.sampleRate / 1000} kHz, windows of ${seconds.toFixed(2)} s`;
  view = new View({ ...model, classes: model.classes.map(readable) }, new Decisions(model), seek);
  await scorer.load(model.fixedSamples);
  $("file").disabled = $("microphone").disabled = false;
  $("file").onchange = ({ target }) => target.files[0] && openFile(target.files[0]);
  $("file").onclick = ({ target }) => { target.value = ""; }; // the same file may be chosen again
  $("microphone").onclick = () => (listener ? stopListening() : listen());
  $("play").onclick = playOrPause;
  acceptDrops(openFile);
  say("Ready. Choose a file, or open the microphone.");
}

const readable = (name) => name.replaceAll("_", " ");

async function openFile(file) {
  await stopListening();
  const mine = begin();
  say(`Reading ${file.name} ...`);
  let samples;
  try {
    samples = await decode(file, model.sampleRate);
  } catch {
    if (mine === turn) say(`${file.name}: this browser cannot decode it. Try WAV, FLAC, MP3 or OGG.`);
    return;
  }
  if (mine !== turn) return;
  const recording = show(new Recording({ rate: model.sampleRate, samples }));
  const windows = windowsOf(samples.length, model.window, model.hop);
  const began = performance.now();
  for (const [index, { start, end }] of windows.entries()) {
    const taken = recording.samples(start, end);
    const scores = await scorer.score(taken);
    if (mine !== turn) return;
    add(recording, { start, end, scores }, taken);
    say(`${file.name}: ${index + 1} of ${windows.length} windows`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const plural = windows.length === 1 ? "window" : "windows";
  say(`${file.name}: ${windows.length} ${plural} scored in ${seconds} s`);
}

async function listen() {
  const mine = begin();
  say("Waiting for the microphone ...");
  try {
    const opened = await Listener.open(model, scorer, {
      onSamples: () => listener && view.follow(),
      onWindow: add,
      onError: (error) => say(`The model failed: ${error.message}`),
    });
    if (mine !== turn) return void opened.close();
    listener = opened;
    show(listener.recording);
    $("microphone").textContent = "Stop the microphone";
    say("Listening. The microphone is open.");
  } catch (error) {
    say(`The microphone did not open: ${error.message}`);
  }
}

async function stopListening() {
  if (!listener) return;
  const stopped = listener;
  listener = null;
  $("microphone").textContent = "Open the microphone";
  await stopped.close();
  view.redraw();
  say("The microphone is closed. The last seconds are still here.");
}

function begin() {
  stopPlaying();
  return ++turn;
}

function show(recording) {
  listening.recording = recording;
  listening.latest = null;
  view.show(recording);
  return recording;
}

function add(recording, window, samples) {
  recording.add(window);
  listening.latest = { ...window, samples };
  view.see(window.scores);
}

function seek(position) {
  const again = player.playing;
  stopPlaying();
  view.moveTo(position);
  if (again) playOrPause();
}

function playOrPause() {
  if (player.playing) return stopPlaying();
  const { recording } = view;
  const from = view.cursor < recording.end - 0.05 * recording.rate ? view.cursor : recording.start;
  $("play").textContent = "Pause";
  player.play(
    recording.samples(Math.floor(from), recording.end),
    recording.rate,
    (position) => view.moveTo(from + position),
    stopPlaying,
  );
}

function stopPlaying() {
  player.stop();
  $("play").textContent = "Play";
}
