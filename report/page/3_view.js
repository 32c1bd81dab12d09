// The view is what the address says after its #, so a link shows the same selection, and Back goes back:
//
//	q      a pattern, or a part of the key
//	s      states, separated by commas
//	from   to  times
//	lane   namespace and name of the chosen job
//	tz     utc
//	sort   a column of the runs, after a minus in falling order
//	all    1: also steps and items that succeeded

const GROUPS = [
	['succeeded', [OK, MARKED]],
	['failed', [FAILED, TIMEOUT]],
	['interrupted', [INTERRUPTED]],
	['running', [RUNNING]],
];

let view = {};
let chosen = null; // what the view leaves, see select

function readView() {
	const p = new URLSearchParams(location.hash.slice(1));
	inUTC = p.get('tz') === 'utc';
	const from = parseTime(p.get('from'));
	const to = parseTime(p.get('to'));
	const lane = data.lanes.findIndex((one) => laneId(one) === p.get('lane'));
	view = {
		q: p.get('q') ?? '',
		states: (p.get('s') ?? '').split(',').filter((name) => GROUPS.some(([known]) => known === name)),
		from: Number.isNaN(from) ? null : from,
		to: Number.isNaN(to) ? null : to,
		lane: lane < 0 ? null : lane,
		sort: /^-?(state|took|start|key|window|attempts)$/.test(p.get('sort') ?? '') ? p.get('sort') : '-start',
		all: p.get('all') === '1',
	};
	if (view.from !== null && view.to !== null && view.to <= view.from) view.to = null;
}

const laneId = (lane) => `${lane.namespace}/${lane.name}`;

// addressOf returns the address of the view with some changes.
function addressOf(changes) {
	const v = { ...view, ...changes };
	const p = new URLSearchParams();
	if (v.q) p.set('q', v.q);
	if (v.states.length > 0) p.set('s', v.states.join(','));
	// A Z makes the time independent of the zone of the one who opens the link.
	const time = (ms) => new Date(ms).toISOString().replace(':00.000Z', 'Z');
	if (v.from !== null) p.set('from', time(v.from));
	if (v.to !== null) p.set('to', time(v.to));
	if (v.lane !== null) p.set('lane', laneId(data.lanes[v.lane]));
	if (v.utc ?? inUTC) p.set('tz', 'utc');
	if (v.sort !== '-start') p.set('sort', v.sort);
	if (v.all) p.set('all', '1');
	return '#' + p.toString();
}

// change makes a change of the view a new entry of the history, or replaces the present one.
function change(changes, replace) {
	const address = addressOf(changes);
	if (replace) location.replace(address);
	else location.hash = address;
}

// matcher returns a function that tests a key. A text with * ? or [ is a pattern of the whole key, as for idem list. Another
// one is a part of the key or window, in any case.
function matcher(q) {
	if (q === '') return () => true;
	if (!/[*?[]/.test(q)) {
		const part = q.toLowerCase();
		return (k) => keys.name(k).toLowerCase().includes(part) || keys.window(k).toLowerCase().includes(part);
	}
	const quoted = (text) => text.replace(/[\\\]^$.|?*+(){}/[]/g, '\\$&');
	let source = '';
	for (let i = 0; i < q.length; i++) {
		const not = q[i + 1] === '^';
		const close = q[i] === '[' ? q.indexOf(']', i + (not ? 3 : 2)) : -1; // a ] in the first place is a member
		if (q[i] === '*') source += '.*';
		else if (q[i] === '?') source += '.';
		else if (close > 0) {
			const set = q.slice(i + (not ? 2 : 1), close).replace(/[\\\]^[]/g, '\\$&');
			source += `[${not ? '^' : ''}${set}]`;
			i = close;
		} else source += quoted(q[i]);
	}
	let pattern;
	try {
		pattern = new RegExp(`^${source}$`, 'su');
	} catch {
		return () => false; // such as [z-a]
	}
	return (k) => pattern.test(keys.name(k));
}

// select returns what the view leaves: keys, attempts and the statistics of each lane.
function select() {
	const from = view.from ?? range.from;
	const to = Math.max(view.to ?? range.to, from + MINUTE);
	const matches = matcher(view.q);
	const wanted = new Set(GROUPS.filter(([name]) => view.states.includes(name)).flatMap(([, states]) => states));
	const states = (k) => wanted.size === 0 || wanted.has(keys.state(k));
	const last = new Int32Array(keys.count).fill(-1); // the last attempt of each selected key
	const attempts = new Int32Array(keys.count);
	const passes = new Uint8Array(keys.count);
	for (let k = 0; k < keys.count; k++) {
		passes[k] = (view.lane === null || keys.lane(k) === view.lane) && states(k) && matches(k) ? 1 : 0;
	}
	const lanes = data.lanes.map((lane, index) => ({ lane, index, runs: [], inner: [], olds: [], count: 0, failed: 0, unknown: 0, running: 0, last: -1 }));
	let count = 0;
	for (let i = 0; i < runs.count && runs.start[i] < to; i++) {
		const k = runs.key[i];
		if (!passes[k] || endOf(i) < from) continue;
		last[k] = i;
		const l = lanes[keys.lane(k)];
		if (runs.state[i] !== MARKED) attempts[k]++;
		if (runs.inner[i]) {
			l.inner.push(i);
			continue;
		}
		l.runs.push(i);
		l.last = i;
		count++;
		if (runs.state[i] === MARKED) continue;
		l.count++;
		if (isFailure(runs.state[i])) l.failed++;
		if (runs.state[i] === INTERRUPTED) l.unknown++;
		if (runs.state[i] === RUNNING) l.running++;
	}
	// The older attempts have no keys, so only a selection of times and of a lane can contain them.
	const old = data.old;
	if (view.q === '' && wanted.size === 0) {
		for (let i = 0; i < old.l.length; i++) {
			const start = old.d[i] * DAY;
			const l = lanes[old.l[i]];
			if (start + DAY <= from || start >= to || (view.lane !== null && l.index !== view.lane)) continue;
			l.olds.push(i);
			l.count += old.n[i];
			l.failed += old.f[i];
			l.unknown += old.u[i];
		}
	}
	const shown = lanes.filter((l) => l.runs.length > 0 || l.inner.length > 0 || l.olds.length > 0);
	for (const l of shown) measure(l);
	shown.sort((a, b) => b.lane.concerns - a.lane.concerns || b.failed + b.unknown - a.failed - a.unknown || (a.lane.name < b.lane.name ? -1 : a.lane.name > b.lane.name ? 1 : a.index - b.index));
	return { from, to, count, lanes: shown, last, attempts };
}

// measure computes the durations of the successful attempts of a lane. The trend is the median of the newest fifth, five
// attempts at least, divided by that of those before.
function measure(l) {
	const took = l.runs.filter((i) => runs.state[i] === OK).map((i) => runs.took[i]);
	const newest = Math.max(5, Math.round(took.length / 5));
	if (took.length >= 2 * newest) {
		const now = quantile(sorted(took.slice(-newest)), 0.5);
		const before = quantile(sorted(took.slice(0, -newest)), 0.5);
		if (Math.max(now, before) >= 1000) l.trend = now / Math.max(1, before); // less is noise
	}
	const all = sorted(took);
	l.median = quantile(all, 0.5);
	l.high = quantile(all, 0.95);
	l.longest = Math.max(0, ...l.olds.map((i) => data.old.ms[i]));
	for (const i of l.runs) l.longest = Math.max(l.longest, endOf(i) - runs.start[i]);
}

const sorted = (list) => Float64Array.from(list).sort();

// quantile returns the nearest rank of a sorted list, NaN of an empty one.
const quantile = (list, q) => (list.length === 0 ? NaN : list[Math.max(0, Math.ceil(q * list.length) - 1)]);
