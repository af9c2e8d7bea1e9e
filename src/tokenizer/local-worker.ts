import { parentPort, workerData } from "node:worker_threads";
import { TokenizerError } from "../errors.ts";
import { loadLocalEngine } from "./local-engine.ts";
import type { LocalAnswer, LocalTask } from "./local-task.ts";

const loading = loadLocalEngine(workerData as string);
// Told to each task.
loading.catch(() => {});

parentPort?.on("message", async (task: LocalTask) => {
  parentPort?.postMessage(await answerTo(task));
});

async function answerTo(task: LocalTask): Promise<LocalAnswer> {
  try {
    const engine = await loading.catch((error: unknown) => {
      throw error instanceof TokenizerError ? error : new TokenizerError("invalid-file", String(error));
    });
    if (task.kind === "tokenize") return { kind: "tokens", tokens: await engine.tokenize(task.prompt) };
    return { kind: "text", text: task.kind === "detokenize" ? engine.detokenize(task.tokens) : "" };
  } catch (error) {
    // What is thrown for other reasons is the prompt's: the tokenizer itself is loaded.
    const code = error instanceof TokenizerError ? error.code : "invalid-prompt";
    return { kind: "error", code, message: (error as Error).message };
  }
}
