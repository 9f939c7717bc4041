import type { WireMessage } from '../../helpers/server.js';

const separator = '\r\n|\r\n';

/**
 * One poll: the arrays of messages of its answer, as they come. A poll that asks for a stream is answered as a whole if the
 * server says so by its content type, because it has more to send than fits one answer.
 */
export async function* frames(url: string, init: RequestInit): AsyncGenerator<readonly WireMessage[], void> {
  const response = await fetch(url, { method: 'POST', ...init });
  if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
  if (!response.headers.get('content-type')?.startsWith('text/plain')) {
    yield parse(await response.text());
    return;
  }
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf(separator); end >= 0; end = text.indexOf(separator)) {
      yield parse(text.slice(0, end));
      text = text.slice(end + separator.length);
    }
  }
}

function parse(text: string): readonly WireMessage[] {
  const messages: unknown = JSON.parse(text);
  if (!Array.isArray(messages)) throw new Error(`no messages: ${text}`);
  return messages;
}
