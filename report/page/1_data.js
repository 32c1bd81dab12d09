'use strict';

// The data of the page, unpacked from its JSON. Times are milliseconds since 1970. island.go has the form of the JSON.

const OK = 1;
const FAILED = 2;
const TIMEOUT = 3;
const RUNNING = 4;
const INTERRUPTED = 5;
const MARKED = 6;

// The states of attempts and of keys: sign and word.
const STATES = [
	['', ''],
	['✓', 'succeeded'],
	['×', 'failed'],
	['×', 'timed out'],
	['▷', 'running'],
	['?', 'interrupted'],
	['◇', 'marked'],
	['↻', 'to run again'],
	['≡', 'batch'],
];

const isFailure = (state) => state === FAILED || state === TIMEOUT;

const data = JSON.parse(document.getElementById('data').textContent);
const madeAt = Date.parse(data.made_at);
const range = { from: Date.parse(data.from), to: Date.parse(data.to) };

// runs has the attempts in the order of their starts. The length of an attempt is NaN while it runs, and if it is not known.
const runs = (() => {
	const { k, t, ms, s, n, x, h } = data.runs;
	const count = t.length;
	const all = {
		count,
		key: new Int32Array(count),
		start: new Float64Array(count),
		took: new Float64Array(count),
		state: new Uint8Array(count),
		inner: new Uint8Array(count), // 1 for a part of an attempt of the key above, which counts in no figure
		number: (i) => n[i] ?? 1,
		exit: (i) => x[i] ?? 0,
		host: (i) => data.hosts[h[i] ?? 0] ?? '',
	};
	let start = data.t0;
	let greatest = -1;
	for (let i = 0; i < count; i++) {
		start += t[i];
		all.key[i] = greatest + 1 + (k[i] ?? 0);
		greatest = Math.max(greatest, all.key[i]);
		all.start[i] = start * 100;
		all.took[i] = ms[i] < 0 ? NaN : ms[i];
		const code = s.charCodeAt(i);
		all.inner[i] = code >= 65 ? 1 : 0; // A is 1
		all.state[i] = code - (code >= 65 ? 64 : 48);
	}
	return all;
})();

// endOf returns when an attempt ended. One that runs has not ended before the page was made. One whose end is not known
// is a point in time.
function endOf(i) {
	if (!Number.isNaN(runs.took[i])) return runs.start[i] + runs.took[i];
	return runs.state[i] === RUNNING ? Math.max(madeAt, runs.start[i]) : runs.start[i];
}

const keys = (() => {
	const { n, w, l, s } = data.keys;
	const count = n.length;
	const names = new Array(count);
	const windows = new Int32Array(count);
	const before = new Int32Array(data.lanes.length);
	let next = 0;
	for (let k = 0; k < count; k++) {
		const name = data.names[n[k] === 0 ? next++ : n[k] - 1];
		const lane = data.lanes[l[k]].name;
		const star = lane.indexOf('*');
		names[k] = name[0] === '=' ? name.slice(1) : lane.slice(0, star) + name.slice(1) + lane.slice(star + 1);
		windows[k] = before[l[k]] += w[k];
	}
	return {
		count,
		name: (k) => names[k],
		window: (k) => data.windows[windows[k]],
		lane: (k) => l[k],
		state: (k) => s.charCodeAt(k) - 48,
		below: new Set(data.below), // steps and items
	};
})();

const severalNamespaces = new Set(data.lanes.map((lane) => lane.namespace)).size > 1;

// element makes an HTML element. Text becomes text nodes only, so that no key can become markup.
function element(tag, attributes, ...children) {
	return furnish(document.createElement(tag), attributes, children);
}

// drawn makes an SVG element.
function drawn(tag, attributes, ...children) {
	return furnish(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function furnish(node, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (value !== null && value !== undefined) node.setAttribute(name, value);
	}
	node.append(...children);
	return node;
}

const byId = (id) => document.getElementById(id);
