import { BLOCK_SIZE, type Question, type Workload } from "./workload.ts";

/** In what a contender answers: blocks from the start of the prompt, or the whole per cent of it below, as AIBrix does. */
export type AnswerUnit = "blocks" | "per cent";

/** How many answers are not what the generator of the messages knows. */
export function wrongAnswers(
  unit: AnswerUnit,
  { questions, pods }: Pick<Workload, "questions" | "pods">,
  answers: readonly Readonly<Record<string, number>>[],
): number {
  const right = questions.map((question) => (unit === "per cent" ? inPercent(question) : question));
  return right.filter((question, at) => !isRight(question, pods, new Map(Object.entries(answers[at] ?? {})))).length;
}

function inPercent({ tokens, blocksByPod }: Question): Question {
  const all = Math.floor(tokens.length / BLOCK_SIZE);
  const percent = [...blocksByPod].map(([pod, blocks]) => [pod, Math.floor((100 * blocks) / all)] as const);
  return { tokens, blocksByPod: new Map(percent) };
}

/** Whether an index says of a question what the generator knows: no pod too many, none too few, each with its blocks. */
export function isRight(
  { blocksByPod }: Question,
  pods: readonly string[],
  answer: ReadonlyMap<string, number>,
): boolean {
  if (answer.size !== blocksByPod.size) return false;
  return [...blocksByPod].every(([pod, blocks]) => answer.get(pods[pod]!) === blocks);
}
