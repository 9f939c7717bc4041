import http from 'node:http';

/** Shares of the deliveries that go wrong, to see that the generator notices. */
export interface Faults {
  drop?: number;
  double?: number;
  /** Every so many messages, one is delivered after the next. */
  swapEvery?: number;
}

interface Waiting {
  response: http.ServerResponse;
  streaming: boolean;
}

interface Channel {
  lastId: number;
  /** The last messages, as JSON. */
  log: string[];
  waiting: Set<Waiting>;
}

const logSize = 1000;
const separator = '\r\n|\r\n';
const json = { 'content-type': 'application/json; charset=utf-8' };

/**
 * The least that a server of the protocol does: node:http, channels in memory, one write per message and client. No
 * database, no checks, no limits. What others take longer than this, they take for what they do beyond it.
 */
export function createBareBus(faults: Faults = {}): http.Server {
  const channels = new Map<string, Channel>();
  let held: string | undefined;

  const channelOf = (name: string): Channel => {
    let channel = channels.get(name);
    if (channel === undefined) {
      channel = { lastId: 0, log: [], waiting: new Set() };
      channels.set(name, channel);
    }
    return channel;
  };

  const deliver = (channel: Channel, message: string) => {
    for (const client of [...channel.waiting]) {
      if (faults.drop && Math.random() < faults.drop) continue;
      const isDoubled = faults.double !== undefined && Math.random() < faults.double;
      const frame = isDoubled ? `[${message},${message}]` : `[${message}]`;
      if (client.streaming) {
        client.response.write(frame + separator);
      } else {
        channel.waiting.delete(client);
        client.response.writeHead(200, json);
        client.response.end(frame);
      }
    }
  };

  const publish = (name: string, data: string): number => {
    const channel = channelOf(name);
    const id = ++channel.lastId;
    const message = `{"global_id":${id},"message_id":${id},"channel":${JSON.stringify(name)},"data":${data}}`;
    channel.log.push(message);
    if (channel.log.length > logSize) channel.log.shift();
    if (faults.swapEvery && id % faults.swapEvery === 0) {
      held = message;
      return id;
    }
    deliver(channel, message);
    if (held !== undefined) deliver(channel, held);
    held = undefined;
    return id;
  };

  const poll = (response: http.ServerResponse, form: string, streaming: boolean, waits: boolean) => {
    const out: string[] = [];
    const status: Record<string, number> = {};
    const polled: Channel[] = [];
    for (const [name, value] of new URLSearchParams(form)) {
      if (name === '__seq') continue;
      const channel = channelOf(name);
      polled.push(channel);
      const position = Number(value);
      if (position === -1) status[name] = channel.lastId;
      else if (position < channel.lastId) {
        out.push(...channel.log.slice(Math.max(0, position - (channel.lastId - channel.log.length))));
      }
    }
    if (Object.keys(status).length > 0) {
      out.push(`{"global_id":-1,"message_id":-1,"channel":"/__status","data":${JSON.stringify(status)}}`);
    }
    const frame = `[${out.join(',')}]`;
    if (streaming) {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.write(frame + separator);
    } else if (out.length > 0 || !waits) {
      response.writeHead(200, json);
      response.end(frame);
      return;
    }
    const client = { response, streaming };
    for (const channel of polled) channel.waiting.add(client);
    response.on('close', () => {
      for (const channel of polled) channel.waiting.delete(client);
    });
  };

  return http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const url = request.url ?? '';
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      if (url.startsWith('/publish')) {
        const name = new URLSearchParams(url.slice(url.indexOf('?') + 1)).get('channel') ?? '';
        response.end(String(publish(name, body)));
      } else {
        const waits = !url.endsWith('?dlp=t');
        poll(response, body, waits && request.headers['dont-chunk'] === undefined, waits);
      }
    });
  });
}
