const maxShown = 5_000;

/** A list item for a message, whatever its data are. Nothing in it is taken for HTML. */
export function createMessageItem(data, messageId, ownName) {
  const { from, text, at, isJson } = read(data);
  const item = document.createElement('li');
  if (from === ownName) item.className = 'own';

  const head = document.createElement('p');
  head.className = 'head';
  const name = element('bdi', from ?? 'unnamed');
  name.className = from === undefined ? 'name' : `name hue-${hueOf(from)}`;
  head.append(name);
  if (at) head.append(timeElement(at));
  const id = element('span', `#${messageId}`);
  id.className = 'id';
  id.title = 'message id';
  head.append(id);

  const body = element(isJson ? 'pre' : 'p', text.length > maxShown ? `${text.slice(0, maxShown)}…` : text);
  body.className = 'text';
  body.dir = 'auto';
  item.append(head, body);
  return item;
}

/** Anyone may publish any JSON here: what looks like a chat message is shown as one, the rest as it is. */
function read(data) {
  if (typeof data === 'string') return { text: data };
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return { text: JSON.stringify(data), isJson: true };
  const from = typeof data.from === 'string' && data.from.trim() !== '' ? data.from.slice(0, 40) : undefined;
  const at = typeof data.at === 'string' && !Number.isNaN(Date.parse(data.at)) ? new Date(data.at) : undefined;
  if (typeof data.text === 'string') return { from, at, text: data.text };
  return { from, at, text: JSON.stringify(data, null, 2), isJson: true };
}

function timeElement(at) {
  const isToday = at.toDateString() === new Date().toDateString();
  const clock = { hour: '2-digit', minute: '2-digit' };
  const format = isToday ? clock : { day: 'numeric', month: 'short', ...clock };
  const time = element('time', at.toLocaleString([], format));
  time.dateTime = at.toISOString();
  return time;
}

/** The same name has the same colour on every screen. */
function hueOf(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 1_000_003;
  return hash % 6;
}

function element(tag, text) {
  const created = document.createElement(tag);
  created.textContent = text;
  return created;
}
