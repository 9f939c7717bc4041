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
      for (const frame of frames) yield parse(frame);
    }
    end = end.slice(1 - separator.length);
  }
  const rest = parts.join('');
  // A stream that breaks inside a frame fails here.
  if (rest || !isStream) yield parse(rest);
}

function parse(json: string): WireMessage[] {
  const messages: unknown = JSON.parse(json);
  if (!Array.isArray(messages) || !messages.every(isMessage)) throw new Error('the answer is not of a message bus');
  return messages;
}

/** Whether ids are ids: a client that took others for its positions would be lost. */
function isMessage(message: WireMessage | null): boolean {
  const { channel, message_id, data } = Object(message);
  const ids = channel === '/__status' ? Object.values(Object(data)) : [message_id];
  return typeof channel === 'string' && ids.every(Number.isSafeInteger);
}
