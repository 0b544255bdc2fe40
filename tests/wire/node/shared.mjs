// What the scripts share: a client, every item of a list, what a call failed with, and waiting.
import OpenAI from "openai";

export function clientOf(baseURL) {
  return new OpenAI({ baseURL, apiKey: "k", maxRetries: 0 });
}

export async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

export async function failure(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return [error.constructor.name, error.status, error.code ?? null, error.param ?? null, error.requestID.slice(0, 4)];
  }
}

export async function until(look, isReady, seconds = 150) {
  const end = Date.now() + 1000 * seconds;
  while (Date.now() < end) {
    const found = await look();
    if (isReady(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it did not come within ${seconds} seconds`);
}
