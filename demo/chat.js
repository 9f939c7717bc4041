import { createAjax } from './ajax.js';
import { createMessageItem } from './message.js';

const { MessageBus } = window;
const byId = (id) => document.getElementById(id);
const [connection, scroller, log, empty] = [byId('connection'), byId('scroller'), byId('log'), byId('empty')];
const [form, nameField, textField, problem] = [byId('form'), byId('name'), byId('text'), byId('problem')];
const maxMessages = 500;

// --- What comes in

/** Below, something new is to be seen; above, someone reads what was. */
function keepAtEnd(change) {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
  change();
  if (atEnd) scroller.scrollTop = scroller.scrollHeight;
}

function show(data, _globalId, messageId) {
  keepAtEnd(() => {
    log.append(createMessageItem(data, messageId, nameField.value.trim()));
    while (log.children.length > maxMessages) log.firstElementChild.remove();
    empty.hidden = true;
  });
}

function showConnection(state, text) {
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  connection.textContent = text;
}

MessageBus.ajax = createAjax({
  onAnswer: () => {
    showConnection('up', 'Connected');
    // What was there before is read in one go; from here on, each message is news.
    setTimeout(() => {
      scroller.setAttribute('aria-busy', 'false');
      empty.hidden = log.children.length > 0;
    }, 300);
  },
  onFailure: () => showConnection('down', 'Reconnecting…'),
});
// The client waits so long after a failure, and three times as long after the third one in a row.
MessageBus.callbackInterval = 1_000;
MessageBus.maxPollInterval = 3_000;
// The last fifty, and what comes from now on.
MessageBus.subscribe('/chat', show, -51);

new ResizeObserver(() => keepAtEnd(() => {})).observe(scroller);

// --- What goes out

async function send(from, text) {
  let response;
  try {
    const body = JSON.stringify({ from, text });
    response = await fetch('/chat', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  } catch {
    return 'The server cannot be reached. Your message is still here: try again.';
  }
  if (response.ok) return undefined;
  const { message } = await response.json().catch(() => ({}));
  return message ?? `The server answers ${response.status}.`;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const [from, text] = [nameField.value.trim(), textField.value.trim()];
  if (from === '' || text === '') return;
  const failure = await send(from, text);
  problem.textContent = failure ?? '';
  problem.hidden = failure === undefined;
  // Unless the next message is being written already.
  if (failure === undefined && textField.value.trim() === text) textField.value = '';
  textField.focus();
});

// --- The name stays with the browser, where that lets it

const nameKey = 'postbus-chat-name';
try {
  nameField.value = localStorage.getItem(nameKey) ?? '';
  nameField.addEventListener('input', () => localStorage.setItem(nameKey, nameField.value.trim()));
} catch {
  // It forgets the name, then.
}
nameField.value ||= `Guest ${Math.floor(Math.random() * 900) + 100}`;

// --- Commands to copy

const elsewhere = byId('elsewhere');
elsewhere.open = window.matchMedia('(min-width: 60rem)').matches;
byId('origin').textContent = location.origin;
document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]');
  if (!button) return;
  const command = byId(button.dataset.copy);
  // Also what is left to do by hand where the browser allows no more.
  getSelection().selectAllChildren(command);
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.classList.add('done');
    setTimeout(() => button.classList.remove('done'), 1_500);
  } catch {
    document.execCommand('copy');
  }
});
