// The strips: attempts of one lane over time, as cells, or as bars if there are few. The path of a state is one element,
// so a page with many lanes stays fast.

const STRIP = 30; // the height of a strip
const FOOT = 1; // below the cells
const HEAD = 9; // above the cells, for the signs

// MOST_BARS is the greatest number of attempts that are drawn as bars.
const MOST_BARS = 200;

// linear returns the scale of an axis without gaps: x of a time, time of an x.
function linear(from, to, width) {
	return { from, to, width, gaps: [], x: (t) => ((t - from) / (to - from)) * width, time: (x) => from + (x / width) * (to - from) };
}

// compressed returns the scale of an axis whose idle times are short: those of 10 times the median length of an attempt or
// more. It returns null if there would be too many, or too little between them.
function compressed(picked, from, to, width) {
	const spans = picked.map((i) => [Math.max(from, runs.start[i]), Math.min(to, endOf(i))]).sort((a, b) => a[0] - b[0]);
	if (spans.length === 0) return null;
	const lengths = sorted(spans.map(([a, b]) => b - a));
	const idle = Math.max(10 * quantile(lengths, 0.5), (to - from) / 40);
	const busy = [];
	for (const [a, b] of spans) {
		const one = busy[busy.length - 1];
		if (one && a - one[1] < idle) one[1] = Math.max(one[1], b);
		else busy.push([a, b]);
	}
	const room = idle / 10; // around each busy time
	for (const one of busy) {
		one[0] = Math.max(from, one[0] - room);
		one[1] = Math.min(to, one[1] + room);
	}
	const gapWidth = 40;
	const gaps = [];
	let at = from;
	for (const [a, b] of busy) {
		if (a > at) gaps.push([at, a]);
		at = b;
	}
	if (to > at) gaps.push([at, to]);
	const left = width - gaps.length * gapWidth;
	if (busy.length > 8 || left < width / 3) return null;
	const total = busy.reduce((sum, [a, b]) => sum + b - a, 0);
	const pieces = [...busy.map(([a, b]) => ({ a, b, width: ((b - a) / total) * left })), ...gaps.map(([a, b]) => ({ a, b, width: gapWidth, gap: true }))];
	pieces.sort((p, q) => p.a - q.a);
	let x = 0;
	for (const p of pieces) {
		p.x = x;
		x += p.width;
	}
	const clamp = (v) => Math.min(1, Math.max(0, v));
	return {
		from,
		to,
		width,
		gaps: pieces.filter((p) => p.gap),
		x(t) {
			const p = pieces.find((one) => t <= one.b) ?? pieces[pieces.length - 1];
			return p.x + clamp((t - p.a) / (p.b - p.a)) * p.width;
		},
		time(px) {
			const p = pieces.find((one) => px <= one.x + one.width) ?? pieces[pieces.length - 1];
			return p.a + clamp((px - p.x) / p.width) * (p.b - p.a);
		},
	};
}

// planOf says how all strips of a selection are drawn. Cells have bounds: cell n is from bounds[n] to bounds[n+1].
function planOf(chosen, width) {
	const picked = chosen.lanes.flatMap((l) => l.runs);
	const aggregated = chosen.lanes.some((l) => l.olds.length > 0);
	if (picked.length <= MOST_BARS && !aggregated) {
		const scale = compressed(picked, chosen.from, chosen.to, width);
		if (scale) return { scale, bounds: null };
		if (chosen.to - chosen.from <= 2 * DAY) return { scale: linear(chosen.from, chosen.to, width), bounds: null };
	}
	const most = Math.max(12, Math.min(120, Math.floor(width / 5)));
	const { step, times } = boundaries(chosen.from, chosen.to, most - 1);
	return { scale: linear(chosen.from, chosen.to, width), bounds: [chosen.from, ...times, chosen.to], step };
}

// cellsOf sums up a lane in cells.
function cellsOf(l, bounds) {
	const cells = bounds.slice(1).map((to, n) => ({ from: bounds[n], to, count: 0, failed: 0, unknown: 0, running: 0, longest: 0 }));
	const cellAt = (t) => {
		let low = 0;
		let high = cells.length - 1;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (cells[middle].to <= t) low = middle + 1;
			else high = middle;
		}
		return cells[low];
	};
	for (const i of l.runs) {
		const c = cellAt(runs.start[i]);
		c.count++;
		c.longest = Math.max(c.longest, endOf(i) - runs.start[i]);
		if (isFailure(runs.state[i])) c.failed++;
		if (runs.state[i] === INTERRUPTED) c.unknown++;
		if (runs.state[i] === RUNNING) c.running++;
	}
	for (const i of l.olds) {
		const c = cellAt(Math.max(data.old.d[i] * DAY, bounds[0]));
		c.count += data.old.n[i];
		c.failed += data.old.f[i];
		c.unknown += data.old.u[i];
		c.longest = Math.max(c.longest, data.old.ms[i]);
	}
	return cells;
}

const rect = (x, y, w, h) => `M${x.toFixed(1)} ${y.toFixed(1)}h${w.toFixed(1)}v${h.toFixed(1)}h${(-w).toFixed(1)}z`;
const cross = (x, y, r) => `M${(x - r).toFixed(1)} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`;

// cellPicture draws cells. The height is the longest attempt. The part of the failed ones is on top, at least 4 px, with a
// cross above; ? is above an unknown outcome.
function cellPicture(l, plan) {
	const paths = { f1: '', f2: '', f4: '', f5: '', mark: '' };
	const signs = [];
	for (const c of cellsOf(l, plan.bounds)) {
		if (c.count === 0) continue;
		const x = plan.scale.x(c.from);
		const w = Math.max(1.5, plan.scale.x(c.to) - x - (plan.scale.width > 400 ? 1 : 0.5));
		const bad = c.failed + c.unknown;
		const most = STRIP - HEAD - FOOT;
		const height = Math.max(bad > 0 ? 8 : 3, most * Math.sqrt(l.longest > 0 ? c.longest / l.longest : 0));
		const share = (n) => (n === 0 ? 0 : Math.max(4, (height * n) / c.count));
		const parts = [
			['f2', share(c.failed)],
			['f5', share(c.unknown)],
			['f4', share(c.running)],
		];
		let y = STRIP - FOOT - height;
		const middle = x + w / 2;
		if (c.failed > 0) paths.mark += cross(middle, Math.round(y) - 5, 2.5);
		else if (c.unknown > 0) signs.push(drawn('text', { x: middle.toFixed(1), y: (y - 1).toFixed(1), class: 'f5' }, '?'));
		for (const [name, h] of parts) {
			const part = Math.min(h, STRIP - FOOT - y);
			if (part > 0) paths[name] += rect(x, y, w, part);
			y += part;
		}
		if (y < STRIP - FOOT) paths.f1 += rect(x, y, w, STRIP - FOOT - y);
	}
	return [...pathsOf(paths), ...signs];
}

// barPicture draws a bar for each attempt. Those that overlap are below each other. A line joins the attempts of a key.
function barPicture(l, plan) {
	const all = l.inner.length > MOST_BARS ? l.runs : [...l.runs, ...l.inner].sort((a, b) => a - b);
	const rows = []; // where each row ends: a time and an x
	const places = all.map((i) => {
		const at = plan.scale.x(runs.start[i]);
		let row = rows.findIndex((r) => r.end <= runs.start[i] && r.x <= at + 4);
		if (row < 0) row = rows.length < 4 ? rows.push({ end: 0, x: 0 }) - 1 : rows.length - 1;
		const x = Math.min(Math.max(at, rows[row].x), at + 4); // a bar has 3 px, so it can begin a little late
		const end = Math.max(x + 3, plan.scale.x(endOf(i)));
		rows[row] = { end: endOf(i), x: end + 1 };
		return { i, x, end, row };
	});
	const height = (STRIP - HEAD - 2) / Math.max(1, rows.length);
	const paths = { joint: '', f0: '', f1: '', f2: '', f4: '', f5: '', f6: '', mark: '' };
	const signs = [];
	const before = new Map(); // the previous attempt of each key
	for (const p of places) {
		const y = HEAD + 1 + p.row * height;
		const h = Math.min(16, height - 1);
		const state = runs.state[p.i];
		const w = p.end - p.x;
		const was = before.get(runs.key[p.i]);
		if (was && was.end < p.x) paths.joint += `M${was.end.toFixed(1)} ${was.y.toFixed(1)}L${p.x.toFixed(1)} ${(y + h / 2).toFixed(1)}`;
		before.set(runs.key[p.i], { end: p.end, y: y + h / 2 });
		if (isFailure(state)) {
			paths.f2 += rect(p.x, y, w, h);
			paths.mark += cross(p.x + w / 2, 5, 2.5);
		} else if (state === RUNNING) {
			paths.f4 += rect(p.x, y, w, h) + `M${p.end.toFixed(1)} ${y.toFixed(1)}l6 ${(h / 2).toFixed(1)}l-6 ${(h / 2).toFixed(1)}z`;
		} else if (state === INTERRUPTED) {
			paths.f5 += rect(p.x, y, w, h);
			signs.push(drawn('text', { x: (p.x + w / 2).toFixed(1), y: 8, class: 'f5' }, '?'));
		} else paths[state === MARKED ? 'f6' : runs.inner[p.i] ? 'f0' : 'f1'] += rect(p.x, y, w, h);
	}
	return [...pathsOf(paths), ...signs];
}

const pathsOf = (paths) =>
	Object.entries(paths)
		.filter(([, d]) => d !== '')
		.map(([name, d]) => drawn('path', { class: name, d }));

// stripOf draws the strip of a lane.
function stripOf(l, plan) {
	const { scale } = plan;
	const idle = scale.gaps.map((g) => rect(g.x, 0, g.width, STRIP)).join('');
	const label = `${l.lane.name}: ${plural(l.count, 'run')}, ${l.failed} failed, ${l.unknown} unknown`;
	return drawn(
		'svg',
		{ role: 'img', 'aria-label': label, viewBox: `0 0 ${scale.width} ${STRIP}`, height: STRIP, preserveAspectRatio: 'none' },
		...(idle ? [drawn('path', { class: 'idle', d: idle })] : []),
		...(plan.bounds ? cellPicture(l, plan) : barPicture(l, plan)),
	);
}

// axisOf draws the times above the strips.
function axisOf(plan) {
	const { scale } = plan;
	const svg = drawn('svg', { 'aria-hidden': 'true', viewBox: `0 0 ${scale.width} 30`, height: 30, preserveAspectRatio: 'none' });
	let free = 0; // where the next label may begin
	const put = (t, text) => {
		const x = scale.x(t);
		const w = text.length * 6.2;
		const at = Math.min(x + 3, scale.width - w);
		svg.append(drawn('path', { class: 'grid', d: `M${x.toFixed(1)} 18v12` }));
		if (at < free) return;
		free = at + w + 8;
		svg.append(drawn('text', { x: at.toFixed(1), y: 27 }, text));
	};
	const label = (t, step) => {
		const midnight = clockText(t) === '00:00';
		if (step.length >= 28 * DAY) return fields(t)[1] === 0 ? String(fields(t)[0]) : MONTHS[fields(t)[1]];
		return step.length >= DAY || midnight ? shortDay(t) : clockText(t);
	};
	const pieces = scale.gaps.length === 0 ? [[scale.from, scale.to]] : busyOf(scale);
	for (const [a, b] of pieces) {
		const w = scale.x(b) - scale.x(a);
		const { step, times } = boundaries(a, b, Math.max(1, Math.floor(w / 70)));
		if (scale.gaps.length > 0) put(a, w > 140 ? `${shortDay(a)} ${clockText(a)}` : shortDay(a));
		for (const t of times) put(t, label(t, step));
	}
	for (const g of scale.gaps) svg.append(drawn('text', { x: (g.x + g.width / 2).toFixed(1), y: 12, 'text-anchor': 'middle' }, gapText(g.b - g.a)));
	if (scale.gaps.length === 0) {
		const text = scale.width < 300 ? dayText : minuteText;
		svg.append(drawn('text', { x: 2, y: 11 }, `${text(scale.from)} to ${text(scale.to)} ${zoneText(scale.to)}`));
	}
	return svg;
}

const gapText = (ms) => (ms >= DAY ? `${Math.round(ms / DAY)} d` : ms >= HOUR ? `${Math.round(ms / HOUR)} h` : `${Math.round(ms / MINUTE)} min`);

// busyOf returns the times between the gaps of a scale.
function busyOf(scale) {
	const busy = [];
	let at = scale.from;
	for (const g of scale.gaps) {
		if (g.a > at) busy.push([at, g.a]);
		at = g.b;
	}
	if (scale.to > at) busy.push([at, scale.to]);
	return busy;
}
