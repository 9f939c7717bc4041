export interface Delivery {
  channel: string;
  id: number;
  run: number;
  n: number;
  at: number;
}

export interface Frame {
  deliveries: readonly Delivery[];
  /** Last ids by channel, where the frame tells them. */
  status: Readonly<Record<string, number>> | undefined;
}

interface WireMessage {
  message_id: number;
  channel: string;
  data: { run?: number; n?: number; at?: number } & Record<string, number>;
}

const separator = '\r\n|\r\n';
const maxRemembered = 512;

/**
 * Decodes answers. Most clients of a thread are sent the same bytes: what these were decoded to is remembered, and every
 * client's bytes are compared with them in full.
 */
export class FrameDecoder {
  #remembered = new Map<string, Frame>();

  /** `onDistinct` sees each message when its bytes are decoded, not each time they come. */
  constructor(private readonly onDistinct: (delivery: Delivery) => void) {}

  /** One frame or more; the separator behind the last one may be missing. */
  decode(text: string): Frame {
    let frame = this.#remembered.get(text);
    if (frame === undefined) {
      frame = this.#parse(text);
      if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
      this.#remembered.set(text, frame);
    }
    return frame;
  }

  #parse(text: string): Frame {
    const deliveries: Delivery[] = [];
    let status: Record<string, number> | undefined;
    for (const part of text.split(separator)) {
      if (part === '') continue;
      const messages: WireMessage[] = JSON.parse(part);
      for (const { channel, message_id: id, data } of messages) {
        if (channel === '/__status') {
          status = { ...status, ...data };
        } else {
          const delivery = { channel, id, run: data.run ?? -1, n: data.n ?? -1, at: data.at ?? 0 };
          deliveries.push(delivery);
          this.onDistinct(delivery);
        }
      }
    }
    return { deliveries, status };
  }
}

/** Cuts a stream into whole frames. */
export class FrameSplitter {
  #rest = '';

  /** The frames that are complete now, in one piece; empty when none is. */
  push(text: string): string {
    if (this.#rest === '' && text.endsWith(separator)) return text;
    const all = this.#rest + text;
    const end = all.lastIndexOf(separator);
    if (end < 0) {
      this.#rest = all;
      return '';
    }
    this.#rest = all.slice(end + separator.length);
    return all.slice(0, end + separator.length);
  }

  reset(): void {
    this.#rest = '';
  }
}
