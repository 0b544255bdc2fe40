// A web export asked in Node, by its own scripts: `node runtimes_node.mjs FOLDER < texts.json`.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const { openStudent } = await import(pathToFileURL(join(folder, "student.js")).href);
let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const texts = JSON.parse(input);
const student = await openStudent(async (name) => new Uint8Array(await readFile(join(folder, name))));
const largest = (shares) => shares.reduce((best, share, at) => (share > shares[best] ? at : best), 0);
await student.answer(texts[0]);
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
for (const text of texts.slice(0, 50)) await student.answer(text);
const ms = [], labels = [], before = process.cpuUsage();
for (const text of texts) {
  const start = performance.now(), answer = await student.answer(text);
  ms.push(performance.now() - start);
  labels.push(largest(Array.from(answer.fields[0].shares)));
}
const { user, system } = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ ms, labels, core_seconds: (user + system) / 1e6 }));
