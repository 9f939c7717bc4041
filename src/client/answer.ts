import type { WireMessage } from './positions.js';

// JSON has no raw line breaks inside its texts: a frame holds none that the protocol would have to write otherwise.
export const separator = '\r\n|\r\n';

/**
 * The arrays of messages of an answer: one where it is JSON, one after the other where it is a stream. An error stands for what a
 * frame of a stream had besides; a whole answer, or a stream that breaks off, throws it.
 */
export async function* readAnswer(
  response: Response,
  isStream: boolean,
  onChunk: (bytes: number) => void,
): AsyncGenerator<WireMessage[] | Error, void> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  // Of a frame that is not complete yet. It is put together once: a long one comes in thousands of chunks.
  let parts: string[] = [];
  // The last characters, with which a separator may have begun.
  let end = '';
  for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
    onChunk(chunk.value.length);
    const text = decoder.decode(chunk.value, { stream: true });
    parts.push(text);
    end += text;
    if (isStream && end.includes(separator)) {
      const frames = parts.join('').split(separator);
      parts = frames.splice(-1);
      end = parts.join('');
      for (const frame of frames) {
        const [messages, fault] = parse(frame);
        if (fault) yield fault;
        if (messages.length > 0 || !fault) yield messages;
      }
    }
    end = end.slice(1 - separator.length);
  }
  const rest = parts.join('');
  // Some servers end their stream with a line break.
  if (rest.trim() || !isStream) {
    const [messages, fault] = parse(rest);
    if (fault) throw fault;
    yield messages;
  }
}

/** The messages of an answer that is there as a whole, stream or not, as far as they make sense. */
export function messagesOf(text: string): WireMessage[] {
  return text.split(separator).flatMap((frame) => parse(frame)[0]);
}

/** The messages, and what is wrong with the rest. */
function parse(json: string): [messages: WireMessage[], fault: Error | undefined] {
  let all: unknown;
  let fault: Error | undefined;
  try {
    all = JSON.parse(json);
  } catch {
    // No array either.
  }
  const messages = (Array.isArray(all) ? all : [null]).filter((message) => {
    const { channel, message_id, data } = Object(message);
    // A client that took other values for its positions would be lost. Some servers send messages without ids.
    const ids =
      channel === '/__status' ? Object.values(Object(data)) : [typeof channel === 'string' && (message_id ?? 0)];
    if (!ids.every(Number.isSafeInteger))
      fault = new Error(`the answer is not of a message bus: ${json.slice(0, 100)}`);
    // Of the places of a status, whoever takes it passes over those that are none.
    return ids.some(Number.isSafeInteger);
  });
  return [messages, fault];
}
