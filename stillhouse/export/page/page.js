/** The page to try a student: what it says, how sure it is, what it took. */

import { connect } from "./client.js";

const SHOWN = 5;
const PAUSE = 120;
const find = (id) => document.getElementById(id);
let student, asked = 0, waiting;

connect({ onDescribed: introduce, onLoaded: showLoaded }).then(begin, (error) => {
  find("opening").hidden = true;
  trouble(`The student could not be opened. ${error.message}`);
});

function introduce({ name, student: rung, teacher, bytes }) {
  document.title = `${name}: a student in this browser`;
  find("name").textContent = name;
  find("lineage").textContent = `${rung} · ${teacher ? `learnt from ${teacher} · ` : ""}in this browser`;
  find("progress").max = bytes;
}

function showLoaded(bytes) {
  find("progress").value = bytes;
  find("loaded").textContent = `${megabytes(bytes)} of ${megabytes(find("progress").max)}`;
}

function begin(opened) {
  student = opened;
  find("opening").hidden = true;
  const form = find(opened.described.kind === "image" ? "pictures" : "words");
  form.hidden = false;
  tellFacts(opened);
  find("about").hidden = false;
  if (form.id === "words") listenToWords(form);
  else listenToPictures();
  performance.mark("ready");
  document.documentElement.dataset.ready = "yes";
}

function listenToWords(form) {
  const text = find("text");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      ask();
    }
  });
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    if (find("typing").checked) waiting = setTimeout(ask, PAUSE);
  });
  find("hint").textContent = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘ + Return answers" : "Ctrl + Enter answers";
  text.focus();
  if (text.value) ask();
}

async function ask() {
  clearTimeout(waiting);
  const text = find("text").value, turn = ++asked;
  if (!text.trim()) return clear();
  await show(turn, () => student.answer(text));
}

/** Shows what comes of a question, unless another was asked meanwhile. */
async function show(turn, question) {
  try {
    const answer = await question();
    if (turn === asked) tell(answer);
  } catch (error) {
    if (turn !== asked) return;
    clear();
    trouble(`There is no answer. ${error.message}`);
  }
}

function clear() {
  find("problem").hidden = true;
  find("result").hidden = true;
  find("seen").hidden = true;
  find("status").textContent = "";
}

function tell(answer) {
  const { threshold, reads } = student.described;
  find("problem").hidden = true;
  const verdict = find("verdict");
  verdict.hidden = threshold === undefined;
  verdict.classList.toggle("asks", answer.asksTeacher);
  verdict.textContent = answer.asksTeacher ? "It would ask the teacher" : "It answers by itself";
  find("answer").textContent = answer.text;
  const sure = `${percent(answer.confidence)} sure`;
  const read = answer.tokens ? ` · ${answer.tokens.toLocaleString("en")} ${reads} read${answer.full ? ", the most it reads" : ""}` : "";
  find("spent").textContent = `${sure} · ${answer.milliseconds.toFixed(1)} ms${read}`;
  find("fields").replaceChildren(...answer.fields.flatMap(shareTables));
  find("result").hidden = false;
  find("status").textContent = `${answer.fields.map((field) => field.label).join(", ")}, ${sure}. ${verdict.hidden ? "" : verdict.textContent}`;
}

function shareTables({ name, labels }) {
  const first = shareTable(labels.slice(0, SHOWN));
  const caption = document.createElement("caption");
  caption.textContent = name ?? "How sure it is of each label";
  first.prepend(caption);
  if (labels.length <= SHOWN) return [first];
  const rest = document.createElement("details"), title = document.createElement("summary");
  title.textContent = `${labels.length - SHOWN} more labels`;
  rest.append(title);
  rest.addEventListener("toggle", () => rest.append(shareTable(labels.slice(SHOWN))), { once: true });
  return [first, rest];
}

function shareTable(labels) {
  const table = document.createElement("table");
  for (const { label, confidence } of labels) {
    const row = table.insertRow(), head = document.createElement("th"), bar = document.createElement("span");
    head.scope = "row";
    head.append(...breakable(label));
    bar.className = "bar";
    bar.style.width = `${100 * confidence}%`;
    row.append(head);
    row.insertCell().append(bar);
    row.insertCell().textContent = percent(confidence);
  }
  return table;
}

/** A label that is broken behind the signs that join its words, where its line is too short. */
function breakable(label) {
  return label.split(/(?<=[_./:-])/).flatMap((part) => [part, document.createElement("wbr")]);
}

function tellFacts({ described, milliseconds, bytes }) {
  const mine = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  const loaded = bytes + mine.reduce((sum, entry) => sum + entry.encodedBodySize, 0);
  const { sizes, threshold, runtimeVersion, fields, certified } = described.about;
  const facts = [
    ["Loaded", `${megabytes(loaded)}: student ${megabytes(sizes.model)}, runtime ${megabytes(sizes.runtime)}`],
    ["Opened in", `${(milliseconds / 1000).toFixed(2)} s`],
    ["Answers", fields],
    ["Asks its teacher", threshold],
    ["Certificate", certified],
    ["Runtime", `ONNX Runtime Web ${runtimeVersion}, one thread`],
  ];
  for (const [name, value] of facts) {
    if (!value) continue;
    const term = document.createElement("dt"), told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    find("facts").append(term, told);
  }
}

function listenToPictures() {
  const file = find("file"), drop = find("drop");
  file.addEventListener("change", () => see(file.files[0]));
  document.addEventListener("paste", ({ clipboardData }) => see(clipboardData.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") see(event.dataTransfer.files[0]);
    });
  }
}

async function see(file) {
  if (!file) return;
  const turn = ++asked;
  await show(turn, async () => {
    const answer = await student.look(await pixelsOf(file));
    const { width, height, data } = answer.seen;
    const canvas = find("seen");
    Object.assign(canvas, { width, height, hidden: false });
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
    return answer;
  });
}

/** The pixels of a picture file as bytes: red, green, blue and opacity of each, row by row. */
export async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return { data, width, height };
}

function trouble(message) {
  find("problem").textContent = message;
  find("problem").hidden = false;
}

const percent = (share) => (share >= 0.9995 && share < 1 ? "> 99.9 %" : `${(100 * share).toFixed(1)} %`);
const megabytes = (bytes) => (bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`);
