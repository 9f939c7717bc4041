const byId = (id) => document.getElementById(id);
const [body, note] = [byId('orders'), byId('orders-note')];
const maxRows = 100;
const rows = new Map();

function fill(row, { id, item, status }) {
  for (const [index, value] of [id, item, status].entries()) {
    const cell = row.cells[index] ?? row.insertCell();
    const text = String(value ?? '');
    if (cell.textContent === text) continue;
    cell.textContent = text;
  }
}

/** Marks what has just changed; the mark fades. */
function flash(row) {
  row.classList.remove('changed');
  // Without reading its size in between, the browser would not begin anew.
  void row.offsetWidth;
  row.classList.add('changed');
}

function add(order) {
  const row = document.createElement('tr');
  fill(row, order);
  rows.set(order.id, row);
  body.append(row);
  while (rows.size > maxRows) remove(rows.keys().next().value);
  return row;
}

function remove(id) {
  rows.get(id)?.remove();
  rows.delete(id);
}

/** What the trigger publishes, see docs/triggers.md. Any JSON may come on the channel: what is something else is passed over. */
function apply(change) {
  const { op, key, row } = change ?? {};
  if (key?.id === undefined) return;
  if (op === 'delete') remove(key.id);
  else if (row) {
    const known = rows.get(key.id);
    if (known) fill(known, row);
    flash(known ?? add(row));
  }
  note.textContent = `Last change: ${op} of order ${key.id}`;
}

// The rows as they are, and then each change after those that they show already.
async function load() {
  try {
    const { lastId, orders } = await (await fetch('/orders')).json();
    for (const order of orders) add(order);
    window.MessageBus.subscribe('/demo/orders', apply, lastId);
  } catch {
    setTimeout(load, 2_000);
  }
}
load();
