import type { Answer, Answers, Method, Operation, Paths, Reference } from './model.js';

/** Refusals that several operations give in the same words stand once, among the components. */
export function shareRefusals(paths: Paths): {
  readonly paths: Paths<Answer | Reference>;
  readonly responses: Answers;
} {
  const uses = new Map<string, { readonly name: string; readonly answer: Answer; times: number }>();
  for (const answer of answersOf(paths)) {
    const name = nameOf(answer);
    const text = JSON.stringify(answer);
    const known = uses.get(text);
    if (known !== undefined) known.times += 1;
    else if (name !== '') uses.set(text, { name, answer, times: 1 });
  }
  const names = new Map<string, string>();
  const responses: Record<string, Answer> = {};
  for (const [text, { name, answer, times }] of [...uses].sort(([, a], [, b]) => b.times - a.times)) {
    if (times < 2 || name in responses) continue;
    responses[name] = answer;
    names.set(text, name);
  }
  const shared = (answer: Answer): Answer | Reference => {
    const name = names.get(JSON.stringify(answer));
    return name === undefined ? answer : { $ref: `#/components/responses/${name}` };
  };
  return {
    paths: eachOperation(paths, (operation) => ({
      ...operation,
      responses: Object.fromEntries(
        Object.entries(operation.responses).map(([status, answer]) => [status, shared(answer)]),
      ),
    })),
    responses,
  };
}

export function eachOperation<A, B>(
  paths: Paths<A>,
  change: (operation: Operation<A>, path: string, method: Method) => Operation<B>,
): Paths<B> {
  return Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(
        (Object.entries(methods) as [Method, Operation<A>][]).map(([method, operation]) => [
          method,
          change(operation, path, method),
        ]),
      ),
    ]),
  );
}

function answersOf(paths: Paths): Answer[] {
  return Object.values(paths)
    .flatMap((methods) => Object.values(methods))
    .flatMap(({ responses }) => Object.values(responses));
}

/** `UNAUTHORIZED` → `Unauthorized`; empty for what is no refusal. */
function nameOf({ content }: Answer): string {
  return Object.keys(content['application/json']?.examples ?? {})
    .map((code) =>
      code.toLowerCase().replaceAll(/(?:^|_)(\w)/g, (_all, letter: string) => letter.toUpperCase()),
    )
    .join('Or');
}
