// Calls a server with the unmodified Node client; prints what came back as JSON.
import { writeFileSync, mkdtempSync, createReadStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toFile } from "openai";
import { VERSION } from "openai/version";
import { all, clientOf, failure } from "./shared.mjs";

const [baseURL, model, messagesJson] = process.argv.slice(2);
const client = clientOf(baseURL);
const messages = JSON.parse(messagesJson);

async function chat() {
  const plain = await client.chat.completions.create({ model, messages });
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  const chunks = await all(stream);
  const helper = client.chat.completions.stream({ model, messages });
  return {
    plain: plain.choices[0].message.content,
    total: plain.usage.total_tokens,
    streamed: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
    streamedTotal: chunks.at(-1).usage.total_tokens,
    assembled: (await helper.finalChatCompletion()).choices[0].message.content,
    models: (await all(client.models.list())).map((each) => each.id),
    model: (await client.models.retrieve(model)).id,
    missing: await failure(() => client.chat.completions.create({ model: "nobody", messages })),
  };
}

async function stored() {
  const completions = client.chat.completions;
  const made = [];
  for (let number = 0; number < 3; number++) {
    made.push(await completions.create({
      model, messages, store: true, metadata: { sdk: "node", "a b&c": `ü ${number}` },
    }));
  }
  const listed = await all(completions.list({ metadata: { sdk: "node" }, limit: 2, order: "asc" }));
  const filtered = await all(completions.list({ model, metadata: { "a b&c": "ü 1" } }));
  const updated = await completions.update(made[0].id, { metadata: { sdk: "node", new: "yes" } });
  const asked = await all(completions.messages.list(made[0].id, { limit: 1 }));
  const deleted = await completions.delete(made[1].id);
  return {
    listed: listed.map((each) => each.id).join() === made.map((each) => each.id).join(),
    filtered: filtered.map((each) => each.id).join() === made[1].id,
    updated: updated.metadata,
    asked: asked.map((each) => [each.role, each.content]),
    deleted: [deleted.id === made[1].id, deleted.deleted],
    gone: await failure(() => completions.retrieve(made[1].id)),
    contents: listed.map((each) => each.choices[0].message.content),
  };
}

async function files() {
  const rows = '{"number": 1}\n{"number": 2}\n';
  const path = join(mkdtempSync(join(tmpdir(), "stillhouse-")), "rows.jsonl");
  writeFileSync(path, rows);
  const streamed = await client.files.create({ file: createReadStream(path), purpose: "fine-tune" });
  const named = await client.files.create({
    file: await toFile(Buffer.from(rows), "Übung.jsonl"), purpose: "evals",
    expires_after: { anchor: "created_at", seconds: 3600 },
  });
  const content = await (await client.files.content(named.id)).text();
  const listed = await all(client.files.list({ limit: 1, order: "asc" }));
  const wrong = await failure(async () => client.files.create({ file: await toFile(Buffer.from("x"), "x"), purpose: "no" }));
  const upload = await client.uploads.create({
    filename: "a.jsonl", bytes: rows.length, mime_type: "text/jsonl", purpose: "fine-tune",
  });
  const part = await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from(rows), "part") });
  const done = await client.uploads.complete(upload.id, { part_ids: [part.id] });
  const deleted = await client.files.delete(named.id);
  return {
    streamed: [streamed.filename, streamed.bytes, streamed.purpose, streamed.status],
    named: [named.filename, named.expires_at - named.created_at],
    content,
    listed: listed.map((each) => each.filename),
    wrong,
    uploaded: [done.status, await (await client.files.content(done.file.id)).text()],
    deleted: [deleted.id === named.id, deleted.deleted],
    gone: await failure(() => client.files.content(named.id)),
  };
}

console.log(JSON.stringify({ version: VERSION, chat: await chat(), stored: await stored(), files: await files() }));
