// The table of keys with their latest attempt. A row opens and shows all attempts and what else is recorded.

const ROWS_AT_ONCE = 500;
let rowsShown = ROWS_AT_ONCE;

// SORTS has the value of each column by which the rows can be sorted.
const SORTS = {
	state: (i) => keys.state(runs.key[i]),
	took: (i) => (Number.isNaN(runs.took[i]) ? -1 : runs.took[i]),
	start: (i) => i, // attempts are in the order of their starts
	key: (i) => keys.name(runs.key[i]),
	window: (i) => keys.window(runs.key[i]),
	attempts: (i) => chosen.attempts[runs.key[i]],
};

function sign(state) {
	const [glyph, word] = STATES[state];
	return element('span', { class: `sign s${state}` }, `${glyph} ${word}`);
}

const hasExit = (i) => (isFailure(runs.state[i]) || runs.state[i] === OK) && runs.exit(i) >= 0;
const exitText = (i) => (hasExit(i) ? String(runs.exit(i)) : '–');

function showRuns() {
	const column = view.sort.replace('-', '');
	const down = view.sort.startsWith('-') ? -1 : 1;
	let hidden = 0;
	const latest = []; // attempts
	for (let k = 0; k < keys.count; k++) {
		if (chosen.last[k] < 0) continue;
		if (!view.all && keys.below.has(k) && keys.state(k) === OK) hidden++;
		else latest.push(chosen.last[k]);
	}
	const rows = Int32Array.from(latest).sort().reverse();
	if (column !== 'start') {
		const values = new Map(latest.map((i) => [i, SORTS[column](i)]));
		rows.sort((a, b) => {
			const [x, y] = [values.get(a), values.get(b)];
			return x < y ? -down : x > y ? down : b - a;
		});
	} else if (down > 0) rows.reverse();
	const some = [...rows.subarray(0, rowsShown)];
	const body = byId('runs').tBodies[0];
	body.replaceChildren(...some.map(runRow));
	if (some.length === 0) body.append(element('tr', {}, element('td', { colspan: 8 }, 'No key.')));
	byId('runs-title').textContent = `Keys (${rows.length.toLocaleString('en')})`;
	const left = rows.length - some.length;
	byId('more-runs').hidden = left === 0;
	byId('more-runs').textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${left.toLocaleString('en')}`;
	for (const th of byId('runs').tHead.rows[0].cells) {
		const name = th.dataset.sort;
		if (!name) continue;
		if (name === column) th.setAttribute('aria-sort', down > 0 ? 'ascending' : 'descending');
		else th.removeAttribute('aria-sort');
		th.querySelector('.arrow').textContent = name === column ? (down > 0 ? ' ▲' : ' ▼') : '';
	}
	return { rows: rows.length, hidden };
}

function runRow(i) {
	const k = runs.key[i];
	const open = element('button', { type: 'button', class: 'open', 'aria-expanded': 'false' }, '▸ ', sign(keys.state(k)));
	const key = element('td', { class: 'key' }, keys.name(k));
	const space = data.lanes[keys.lane(k)].namespace;
	if (severalNamespaces) key.append(element('span', { class: 'space' }, ' ' + space));
	key.append(element('span', { class: 'summary' }, `${keys.window(k)} ${durationText(runs.took[i])}`));
	const row = element(
		'tr',
		{ 'data-key': k },
		element('td', {}, open),
		element('td', { class: 'number' }, durationText(runs.took[i])),
		element('td', { class: 'when' }, minuteText(runs.start[i])),
		key,
		element('td', { class: 'wide when' }, keys.window(k) || '–'),
		element('td', { class: 'number wide' }, String(chosen.attempts[k])),
		element('td', { class: 'number wide' }, exitText(i)),
		element('td', { class: 'wide' }, runs.host(i)),
	);
	open.addEventListener('click', () => {
		const shut = open.getAttribute('aria-expanded') === 'false';
		open.setAttribute('aria-expanded', String(shut));
		open.firstChild.data = shut ? '▾ ' : '▸ ';
		if (shut) row.after(element('tr', { class: 'details' }, element('td', { colspan: 8 }, ...detailsOf(k))));
		else row.nextSibling.remove();
	});
	return row;
}

const MOST_ATTEMPTS = 50;

// detailsOf returns what is in the file about a key.
function detailsOf(k) {
	const all = [];
	for (let i = 0; i < runs.count; i++) if (runs.key[i] === k) all.push(i);
	const list = element('ol', { class: 'attempts' });
	if (all.length > MOST_ATTEMPTS) list.append(element('li', {}, `${plural(all.length - MOST_ATTEMPTS, 'earlier attempt')}`));
	for (const i of all.slice(-MOST_ATTEMPTS)) {
		const state = runs.state[i];
		const facts = [secondText(runs.start[i])];
		if (!Number.isNaN(runs.took[i])) facts.push(`took ${durationText(runs.took[i])}`);
		if (hasExit(i)) facts.push(`exit status ${runs.exit(i)}`);
		facts.push(runs.host(i));
		const name = state === MARKED ? 'mark: ' : `attempt ${runs.number(i)}: `;
		list.append(element('li', {}, name, sign(state), ` ${facts.filter((text) => text !== '').join(', ')}`));
	}
	const details = [list];
	const more = data.details[k] ?? {};
	if (more.note) details.push(element('p', {}, `note: ${more.note}`));
	if (more.bytes) details.push(element('p', {}, `output: ${plural(more.bytes, 'byte')}`));
	if (more.args) details.push(element('p', {}, 'command: ', element('code', {}, more.args)));
	if (more.inputs) details.push(element('p', {}, `inputs: ${more.inputs}`));
	if (more.commands) {
		const commands = element('dl', { class: 'commands' });
		for (const [purpose, line] of more.commands) commands.append(element('dt', {}, purpose), element('dd', {}, element('code', {}, line)));
		details.push(commands);
	}
	if (more.tail) details.push(element('pre', { tabindex: '0', role: 'group', 'aria-label': 'the last lines of the output' }, more.tail));
	return details;
}
