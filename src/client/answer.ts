import type { WireMessage } from './positions.js';

// JSON has no raw line breaks inside its texts: a frame holds none that the protocol would have to write otherwise.
const separator = '\r\n|\r\n';

/** The arrays of messages of an answer: one where it is JSON, one after the other where it is a stream. */
export async function* readAnswer(
  response: Response,
  onChunk: (bytes: number) => void,
): AsyncGenerator<WireMessage[], void> {
  const isStream = !response.headers.get('content-type')?.startsWith('application/json');
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
    onChunk(chunk.value.length);
    rest += decoder.decode(chunk.value, { stream: true });
    if (!isStream) continue;
    const frames = rest.split(separator);
    rest = frames.pop() ?? '';
    for (const frame of frames) yield parse(frame);
  }
  // A stream that breaks inside a frame fails here.
  if (rest || !isStream) yield parse(rest);
}

function parse(json: string): WireMessage[] {
  const messages: unknown = JSON.parse(json);
  if (!Array.isArray(messages)) throw new Error('the answer is not of a message bus');
  return messages;
}
