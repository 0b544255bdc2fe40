/** The student's worker: opens it, and answers one message after another, so that the page never waits. */

import { openStudent } from "./student.js";

let loaded = 0;
const started = performance.now();
const student = openStudent(load, (described) => postMessage({ described })).then(warmed);
student.then(
  ({ described }) => {
    const milliseconds = performance.now() - started;
    const bytes = performance.getEntriesByType("resource").reduce((sum, entry) => sum + entry.encodedBodySize, 0);
    postMessage({ ready: { described, milliseconds, bytes } });
  },
  (error) => postMessage({ failed: String(error?.message ?? error) }),
);

self.onmessage = async ({ data: { id, text, picture } }) => {
  try {
    const opened = await student;
    postMessage({ id, answer: await (picture ? opened.look(picture) : opened.answer(text)) });
  } catch (error) {
    postMessage({ id, failed: String(error?.message ?? error) });
  }
};

/** A student that has answered once: the first answer takes longest. */
async function warmed(opened) {
  if (opened.reader) await opened.answer("");
  return opened;
}

/** A file beside this one, telling how much of it has come. */
async function load(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} could not be loaded (${response.status}).`);
  const parts = [];
  let length = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    postMessage({ loaded: (loaded += value.length) });
  }
  const bytes = new Uint8Array(length);
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  return bytes;
}
