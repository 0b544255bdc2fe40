// Goes through fine-tuning with the unmodified Node client; prints what came back as JSON.
import { toFile } from "openai";
import { all, clientOf, failure, until } from "./shared.mjs";

const client = clientOf(process.argv[2]);
const { fineTuning: { jobs }, models } = client;
const metadata = { sdk: "node" };

function greetings(count) {
  const rows = [..."abcdefghijklmnopqrstuvwxyz"].slice(0, count).map((letter) => ({
    messages: [{ role: "user", content: `hail ${letter}` }, { role: "assistant", content: "ahoy" }],
  }));
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

async function uploaded(text, name) {
  return (await client.files.create({ file: await toFile(Buffer.from(text), name), purpose: "fine-tune" })).id;
}

async function ordered() {
  const auto = { n_epochs: "auto", batch_size: "auto", learning_rate_multiplier: "auto" };
  return jobs.create({
    model: "small", training_file: await uploaded(greetings(12), "rows.jsonl"),
    validation_file: await uploaded(greetings(3), "valid.jsonl"), suffix: "node", seed: 7, metadata,
    method: { type: "supervised", supervised: { hyperparameters: auto } },
  });
}

async function cancelled(training_file) {
  const job = await jobs.create({ model: "small", training_file, metadata });
  const { status } = await jobs.cancel(job.id);
  const again = await failure(() => jobs.cancel(job.id));
  return [job.id, { status, again, resumed: await failure(() => jobs.resume(job.id)) }];
}

async function bad() {
  const training_file = await uploaded(greetings(9), "few.jsonl");
  const job = await jobs.create({ model: "small", training_file, metadata });
  const { id, status, error, fine_tuned_model } = await until(
    () => jobs.retrieve(job.id), ({ status }) => !["validating_files", "queued"].includes(status),
  );
  const [last] = await all(jobs.listEvents(id));
  return [id, { status, error, model: fine_tuned_model, last: [last.level, last.message === error.message] }];
}

async function learnt(job) {
  const waiting = ["validating_files", "queued"];
  const first = await until(() => jobs.retrieve(job.id), ({ status }) => !waiting.includes(status));
  const paused = await jobs.pause(job.id);
  const shown = await jobs.retrieve(job.id);
  const again = await failure(() => jobs.pause(job.id));
  const resumed = await jobs.resume(job.id);
  const over = ["succeeded", "failed", "cancelled"];
  const done = await until(() => jobs.retrieve(job.id), ({ status }) => over.includes(status));
  return [done, {
    statuses: [job.status, first.status, paused.status, shown.status, resumed.status, done.status],
    again,
    hyperparameters: [job.hyperparameters, done.method.supervised.hyperparameters],
    same: [done.seed, done.metadata, done.model, done.error],
    told: [
      done.trained_tokens > 0, done.finished_at >= done.created_at,
      done.fine_tuned_model.startsWith("ft:small:local:node:"),
    ],
  }];
}

async function looked(done) {
  const events = await all(jobs.listEvents(done.id, { limit: 7 }));
  const checkpoints = await all(jobs.checkpoints.list(done.id, { limit: 1 }));
  const result = await (await client.files.content(done.result_files[0])).text();
  return {
    messages: [events[0].message, events.at(-1).message === `Created fine-tuning job: ${done.id}`],
    went: events.map((event) => event.message).filter((message) => /(paused|resumed)$/.test(message)),
    steps: events.filter((event) => event.type === "metrics").length,
    unique: new Set(events.map((event) => event.id)).size === events.length,
    checkpoints: checkpoints.map((each) => [each.step_number, each.metrics.full_valid_loss > 0]),
    result: result.trimEnd().split("\n").map((line) => line.split(",")[0]),
    earlier: checkpoints.at(-1).fine_tuned_model_checkpoint,
  };
}

async function asked(done, earlier) {
  const named = new Set((await all(models.list())).map((each) => each.id));
  const messages = [{ role: "user", content: "hail z" }];
  const said = [];
  for (const model of [done.fine_tuned_model, earlier]) {
    const ask = { model, messages, max_tokens: 8, temperature: 0 };
    const plain = await client.chat.completions.create(ask);
    const chunks = await all(await client.chat.completions.create({ ...ask, stream: true }));
    const streamed = chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("");
    said.push([
      named.has(model), plain.model === model, plain.choices[0].message.content, streamed,
      chunks.every((chunk) => chunk.model === model),
    ]);
  }
  const deleted = await models.delete(done.fine_tuned_model);
  return {
    said,
    deleted: [deleted.id === done.fine_tuned_model, deleted.deleted],
    gone: await failure(() => models.retrieve(done.fine_tuned_model)),
    silent: await failure(() => client.chat.completions.create({ model: done.fine_tuned_model, messages })),
  };
}

async function wrong(training_file) {
  const refused = {
    model: () => jobs.create({ model: "none", training_file }),
    file: () => jobs.create({ model: "small", training_file: "file-none" }),
    job: () => jobs.retrieve("ftjob-none"),
    events: () => jobs.listEvents("ftjob-none"),
    checkpoints: () => jobs.checkpoints.list("ftjob-none"),
    after: () => jobs.list({ after: "ftjob-none" }),
  };
  const told = {};
  for (const [name, call] of Object.entries(refused)) told[name] = await failure(call);
  return told;
}

const job = await ordered();
const [cancelledId, atOnce] = await cancelled(job.training_file);
const [badId, failed] = await bad();
const [done, life] = await learnt(job);
const { earlier, ...look } = await looked(done);
const listed = (await all(jobs.list({ limit: 1, metadata }))).map((each) => each.id);
const sameIds = listed.join() === [badId, cancelledId, job.id].join();
const others = await all(jobs.list({ limit: 1, metadata: { sdk: "python" } }));
console.log(JSON.stringify({
  cancelled: atOnce, bad: failed, life, look, listed: [sameIds, others.length],
  asked: await asked(done, earlier), wrong: await wrong(job.training_file),
}));
