import type { WireMessage } from './positions.js';

// JSON has no raw line breaks in its strings, so no frame contains a separator that the protocol would have to escape.
export const separator = '\r\n|\r\n';

/**
 * Yields the arrays of messages of an answer: one array if it is JSON, one per frame if it is a stream. Yields an Error
 * for whatever else a frame of a stream contained; throws it instead if the answer is whole, or the stream broke off.
 * `onChunk` is called with the number of bytes of each chunk.
 */
export async function* readAnswer(
  response: Response,
  isStream: boolean,
  onChunk: (bytes: number) => void,
): AsyncGenerator<WireMessage[] | Error, void> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  // The parts of a frame that is not complete yet. They are joined once, because a long frame comes in thousands of
  // chunks.
  let parts: string[] = [];
  // The last characters that came: a separator may have begun with them.
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

/** The messages of a complete answer, stream or not, without those that make no sense. */
export function messagesOf(text: string): WireMessage[] {
  return text.split(separator).flatMap((frame) => parse(frame)[0]);
}

/** Returns the messages, and an error if there was anything else. */
function parse(json: string): [messages: WireMessage[], fault: Error | undefined] {
  let all: unknown;
  let fault: Error | undefined;
  try {
    all = JSON.parse(json);
  } catch {
    // Not JSON, and so no array.
  }
  const messages = (Array.isArray(all) ? all : [null]).filter((message) => {
    const { channel, message_id, data } = Object(message);
    // A client that took other values for its positions would lose its place. Some servers send messages without ids.
    const ids =
      channel === '/__status' ? Object.values(Object(data)) : [typeof channel === 'string' && (message_id ?? 0)];
    if (!ids.every(Number.isSafeInteger))
      fault = new Error(`the answer is not of a message bus: ${json.slice(0, 100)}`);
    // PollPositions.move() skips positions of a status that are no whole numbers.
    return ids.some(Number.isSafeInteger);
  });
  return [messages, fault];
}
