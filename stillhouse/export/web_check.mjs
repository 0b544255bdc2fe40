// Answers with an exported folder in Node: `node web_check.mjs FOLDER < questions.json`, as one line of JSON.
// Questions are {"texts": [...]}, {"pictures": [{"width", "height", "data": [r, g, b, a, ...]}, ...]}, or {"read": [...]}
// for the ids of texts alone; {"pixels": {"file", "shape"}} are pixel values in a file of float32.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const { openStudent } = await import(pathToFileURL(join(folder, "student.js")).href);
let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const { texts = [], pictures = [], pixels, read = [] } = JSON.parse(input);
const student = await openStudent(async (name) => new Uint8Array(await readFile(join(folder, name))));
const told = (answer) => ({ ...answer, fields: answer.fields.map((field) => ({ label: field.label, shares: Array.from(field.shares) })) });
const answers = [];
for (const text of read) answers.push(student.reader.read(text));
for (const text of texts) answers.push(told(await student.answer(text)));
for (const picture of pictures) {
  const { seen, ...answer } = await student.look(picture);
  answers.push(told({ ...answer, seen: Array.from(seen.data) }));
}
if (pixels) {
  const { buffer, byteOffset, length } = await readFile(pixels.file);
  const values = new Float32Array(buffer.slice(byteOffset, byteOffset + length)), shape = [1, ...pixels.shape.slice(1)];
  const size = shape.reduce((one, other) => one * other);
  for (let row = 0; row < pixels.shape[0]; row++) {
    answers.push(told(await student.saw(values.slice(row * size, (row + 1) * size), shape)));
  }
}
process.stdout.write(JSON.stringify(answers));
