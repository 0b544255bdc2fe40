// What a pipeline of transformers.js says of texts: `node pipeline.mjs FOLDER DTYPE < {"texts": [...]}`, as JSON.

import { basename, dirname } from "node:path";
import { env, pipeline } from "@huggingface/transformers";

const [folder, dtype] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const { texts } = JSON.parse(input);
const classify = await pipeline("text-classification", basename(folder), { dtype });
const told = [];
for (const text of texts) told.push(await classify(text, { top_k: null }));
process.stdout.write(JSON.stringify({ version: env.version, together: await classify(texts), told }));
