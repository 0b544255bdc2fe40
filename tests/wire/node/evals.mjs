// Goes through evals with the unmodified Node client; prints what came back as JSON.
import { toFile } from "openai";
import { all, clientOf, failure, until } from "./shared.mjs";

const client = clientOf(process.argv[2]);
const { evals } = client;
const custom = {
  type: "custom",
  item_schema: { type: "object", properties: { q: { type: "string" }, a: { type: "string" } }, required: ["q"] },
  include_sample_schema: true,
};
const check = {
  type: "string_check", name: "same", operation: "eq", input: "{{sample.output_text}}", reference: "{{item.a}}",
};
const judged = [{ role: "system", content: "Judge it." }, { role: "user", content: "{{sample.output_text}}" }];
const label = {
  type: "label_model", name: "tone", model: "judge", input: judged, labels: ["loud", "calm"], passing_labels: ["loud"],
};
const score = {
  type: "score_model", name: "length", model: "judge", input: judged, range: [1, 7], pass_threshold: 2.5,
};
const ask = [{ type: "message", role: "user", content: { type: "input_text", text: "{{item.q}}" } }];
const rows = [{ item: { q: "alpha beta gamma", a: "ALPHA BETA GAMMA" } }, { item: { q: "delta", a: "delta" } }];

function completions(model, source, inputs = { type: "template", template: ask }) {
  return { type: "completions", model, source, input_messages: inputs, sampling_params: { temperature: 0, seed: 1 } };
}

async function ended(evalId, runId) {
  const over = ["completed", "failed", "canceled"];
  return until(() => evals.runs.retrieve(runId, { eval_id: evalId }), (run) => over.includes(run.status));
}

async function finished(evalId, source, name) {
  const run = await evals.runs.create(evalId, { name, data_source: source });
  return ended(evalId, run.id);
}

function counts({ status, result_counts: { total, passed, failed, errored } }) {
  return [status, total, passed, failed, errored];
}

function plain(name) {
  return name.split("-")[0]; // results name a grader with its id
}

function ids(found) {
  return found.map((each) => each.id).join();
}

async function sampled() {
  const made = await evals.create({
    name: "sampled", data_source_config: custom, testing_criteria: [check, label, score], metadata: { sdk: "node" },
  });
  const file = await client.files.create({
    file: await toFile(Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join("")), "rows.jsonl"),
    purpose: "evals",
  });
  const content = await finished(made.id, completions("shouts", { type: "file_content", content: rows }), "content");
  const filed = await finished(made.id, completions("echoes", { type: "file_id", id: file.id }), "filed");
  const items = await all(evals.runs.outputItems.list(content.id, { eval_id: made.id, limit: 1, order: "asc" }));
  const one = await evals.runs.outputItems.retrieve(items[1].id, { eval_id: made.id, run_id: content.id });
  const failed = await all(evals.runs.outputItems.list(content.id, { eval_id: made.id, limit: 1, status: "fail" }));
  return {
    ends: [counts(content), counts(filed)],
    criteria: content.per_testing_criteria_results.map((each) => (
      [plain(each.testing_criteria), each.passed, each.failed]
    )),
    usage: content.per_model_usage.map((each) => [each.model_name, each.invocation_count]).sort(),
    reported: content.report_url.includes(made.id),
    said: items.map((item) => item.sample.output[0].content),
    results: items.map((item) => item.results.map((each) => [plain(each.name), each.passed, each.score])),
    one: [one.id === items[1].id, one.datasource_item.q, one.status],
    failed: failed.map((item) => item.datasource_item_id),
    listed: ids(await all(evals.runs.list(made.id, { limit: 1, order: "asc" }))) === ids([content, filed]),
    shown: (await evals.retrieve(made.id)).testing_criteria.map((each) => [each.type, each.name]),
  };
}

async function kept() {
  const made = await evals.create({ name: "kept", data_source_config: custom, testing_criteria: [check] });
  const content = [];
  for (const text of ["one", "two"]) {
    const messages = [{ role: "user", content: text }];
    const sample = await client.chat.completions.create({ model: "shouts", messages });
    content.push({ item: { q: text, a: text === "one" ? "ONE" : "three" }, sample });
  }
  const run = await finished(made.id, { type: "jsonl", source: { type: "file_content", content } });
  const changed = await evals.update(made.id, { name: "renamed", metadata: { new: "yes" } });
  const listed = await all(evals.list({ limit: 1, order: "asc" }));
  const dropped = await evals.runs.delete(run.id, { eval_id: made.id });
  const gone = await evals.delete(made.id);
  return {
    end: counts(run),
    changed: [changed.id === made.id, changed.name, changed.metadata],
    listed: listed.map((each) => each.name),
    dropped: [dropped.run_id === run.id, dropped.deleted],
    gone: [gone.eval_id === made.id, gone.deleted],
    missing: [
      await failure(() => evals.retrieve(made.id)),
      await failure(() => evals.runs.list(made.id)),
      await failure(() => evals.runs.outputItems.list(run.id, { eval_id: made.id })),
    ],
  };
}

async function stored() {
  const texts = ["first one here", "second"];
  for (const content of texts) {
    await client.chat.completions.create({
      model: "echoes", messages: [{ role: "user", content }], store: true, metadata: { usecase: "node", text: content },
    });
  }
  const made = await evals.create({
    name: "watch", data_source_config: { type: "stored_completions", metadata: { usecase: "node" } },
    testing_criteria: [score],
  });
  const source = { type: "stored_completions" };
  const anew = await finished(
    made.id, completions("shouts", source, { type: "item_reference", item_reference: "item.input" }),
  );
  const items = await all(evals.runs.outputItems.list(anew.id, { eval_id: made.id, limit: 1 }));
  return {
    config: [made.data_source_config.type, made.data_source_config.metadata],
    all: counts(await finished(made.id, { type: "completions", source })),
    some: counts(await finished(made.id, { type: "completions", source: { ...source, metadata: { text: "second" } } })),
    anew: counts(anew),
    said: items.map((item) => item.sample.output[0].content).sort(),
  };
}

async function cancelled() {
  const made = await evals.create({ name: "long", data_source_config: custom, testing_criteria: [check] });
  const content = Array.from({ length: 200 }, (_, number) => ({ item: { q: `slowly ${number}`, a: "x" } }));
  const run = await evals.runs.create(made.id, {
    data_source: completions("echoes", { type: "file_content", content }),
  });
  const asked = await evals.runs.cancel(run.id, { eval_id: made.id });
  return {
    begun: run.status,
    asked: asked.status,
    end: (await ended(made.id, run.id)).status,
    again: await failure(() => evals.runs.cancel(run.id, { eval_id: made.id })),
    listed: (await all(evals.runs.list(made.id, { status: "canceled" }))).length,
  };
}

async function wrong() {
  const cases = {
    config: { data_source_config: { type: "custom" }, testing_criteria: [check] },
    grader: { data_source_config: custom, testing_criteria: [{ ...check, operation: "is" }] },
    judge: { data_source_config: custom, testing_criteria: [{ ...label, passing_labels: ["soft"] }] },
  };
  const told = {};
  for (const [name, body] of Object.entries(cases)) told[name] = await failure(() => evals.create(body));
  return told;
}

async function graders() {
  const { graders: one } = client.fineTuning.alpha;
  const told = await one.run({ grader: check, model_sample: "yes", item: { a: "yes" } });
  const scored = await one.run({ grader: score, model_sample: "one two three" });
  return [told.reward, scored.reward, (await one.validate({ grader: check })).grader.name];
}

console.log(JSON.stringify({
  sampled: await sampled(), kept: await kept(), stored: await stored(), cancelled: await cancelled(),
  wrong: await wrong(), graders: await graders(),
}));
