/**
 * The student for any page: `const student = await connect(); const answer = await student.answer("some text");`.
 *
 * It runs in a worker of its own; nothing that is asked leaves the browser.
 */
export function connect({ onDescribed, onLoaded } = {}) {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;
  const ask = (question, moved = []) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, ...question }, moved);
    });
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message || "The student's worker could not be started."));
    worker.onmessage = ({ data }) => {
      if (data.loaded !== undefined) onLoaded?.(data.loaded);
      else if (data.described) onDescribed?.(data.described);
      else if (data.ready) {
        const answer = (text) => ask({ text }), look = (picture) => ask({ picture });
        resolve({ ...data.ready, answer, look, close: () => worker.terminate() });
      } else if (data.id === undefined) reject(new Error(data.failed));
      else {
        const { resolve: answered, reject: refused } = waiting.get(data.id);
        waiting.delete(data.id);
        if (data.answer) answered(data.answer);
        else refused(new Error(data.failed));
      }
    };
  });
}
