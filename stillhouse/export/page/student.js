/** The student: texts in, answers out. Needs no page: it runs in a worker, and in Node. */

import * as ort from "./ort.js";
import { pixelValues } from "./picture.js";
import { Characters, openReader } from "./reader.js";

/** Opens what `student.json` describes; `load(name)` gives the bytes of a file beside it; `told` hears the description. */
export async function openStudent(load, told) {
  const described = JSON.parse(new TextDecoder().decode(await load("student.json")));
  told?.(described);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  const files = [described.runtime, described.model, ...(described.kind === "image" ? [] : ["reader.json"])];
  const [binary, model, reading] = await Promise.all(files.map(load));
  ort.env.wasm.wasmBinary = await unpacked(binary);
  const session = await ort.InferenceSession.create(await unpacked(model), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  if (!reading) return new Student(described, session);
  const { characters: tables, reader } = JSON.parse(new TextDecoder().decode(reading));
  const characters = new Characters(tables);
  return new Student(described, session, characters, await openReader(reader, characters, load));
}

/** Bytes without their gzip; as they are where the server has unpacked them already. */
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class Student {
  constructor(described, session, characters, reader) {
    this.described = described;
    this.session = session;
    this.characters = characters;
    this.reader = reader;
  }

  /**
   * What it answers to one text: `{text, fields, confidence, asksTeacher, tokens, full, milliseconds}`.
   *
   * `text` is the whole answer in the form that was learnt; each of `fields` has `name`, `label`, `confidence`, and
   * `labels` with the confidence of every label, likeliest first. `full`: it read as much as it ever does.
   */
  async answer(text) {
    const start = performance.now();
    const ids = this.reader.read(this.varying(wellFormed(text)));
    const shape = [1, ids.length];
    const logits = await this.score({
      input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), shape),
      attention_mask: new ort.Tensor("int64", new BigInt64Array(ids.length).fill(1n), shape),
    });
    const full = ids.length >= this.reader.limit;
    return { ...this.told(logits), tokens: ids.length, full, milliseconds: performance.now() - start };
  }

  /** What it answers to one picture `{data, width, height}`; `seen` is that picture as it was looked at. */
  async look(picture) {
    const start = performance.now();
    const { values, shape, seen } = pixelValues(picture, this.described.picture);
    return { ...(await this.saw(values, shape)), seen, milliseconds: performance.now() - start };
  }

  /** What it answers to pixel values `[1, channels, height, width]`. */
  async saw(values, shape) {
    return this.told(await this.score({ pixel_values: new ort.Tensor("float32", values, shape) }));
  }

  /** The part of a message that varies: without the text that was the same around every one in training. */
  varying(message) {
    const { prefix, suffix } = this.described.prompt;
    const framed = message.length >= prefix.length + suffix.length && message.startsWith(prefix) && message.endsWith(suffix);
    return this.characters.strip(framed ? message.slice(prefix.length, message.length - suffix.length) : message);
  }

  async score(feeds) {
    const { logits } = await this.session.run(feeds, ["logits"]);
    return logits.data;
  }

  told(logits) {
    const { answer, temperatures, threshold } = this.described;
    let at = 0;
    const fields = answer.fields.map(({ name, labels }, index) => {
      const shares = softmax(logits.subarray(at, (at += labels.length)), temperatures[index]);
      const order = Array.from(shares.keys()).sort((one, other) => shares[other] - shares[one] || one - other);
      const ranked = order.map((label) => ({ label: labels[label], confidence: shares[label] }));
      return { name, index: order[0], label: ranked[0].label, confidence: ranked[0].confidence, labels: ranked, shares };
    });
    const confidence = fields.reduce((product, field) => product * field.confidence, 1);
    const text = answer.pieces.map((piece) => (typeof piece === "string" ? piece : answer.written[piece][fields[piece].index])).join("");
    const asksTeacher = threshold !== undefined && (threshold === null || confidence < threshold);
    return { text, fields, confidence, asksTeacher };
  }
}

/** exp(z / T) / sum exp(z / T). */
function softmax(logits, temperature) {
  const highest = logits.reduce((one, other) => Math.max(one, other), -Infinity);
  const powers = Float64Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

/** Halves of characters, which no text in UTF-8 can hold, replaced. */
function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
