// The durations of the chosen job: a dot for each attempt on a logarithmic scale, the running median and the running 95 %.

const CHART = 200;
const LEFT = 56;

// NICE are the durations that the scale may name.
const NICE = [
	...[1, 2, 5, 10, 20, 50, 100, 200, 500],
	...[1, 2, 5, 10, 20, 30].flatMap((n) => [n * 1000, n * MINUTE]),
	...[1, 2, 3, 6, 12].map((n) => n * HOUR),
	...[1, 2, 5, 10, 20, 50, 100].map((n) => n * DAY),
].sort((a, b) => a - b);

function showChart(chosen) {
	const section = byId('chart');
	const l = view.lane === null ? (chosen.lanes.length === 1 ? chosen.lanes[0] : null) : chosen.lanes.find((one) => one.index === view.lane);
	const dots = l ? l.runs.filter((i) => !Number.isNaN(runs.took[i]) && runs.state[i] !== MARKED) : [];
	section.hidden = dots.length < 2;
	if (section.hidden) return;
	byId('chart-title').textContent = `Durations of ${l.lane.name}`;
	const body = byId('chart-body');
	body.replaceChildren();
	const width = body.clientWidth - 24;
	const scale = linear(chosen.from, chosen.to, width - LEFT - 8);
	const took = (i) => Math.max(1, runs.took[i]);
	let low = Infinity;
	let high = 0;
	for (const i of dots) {
		low = Math.min(low, took(i));
		high = Math.max(high, took(i));
	}
	low = Math.log(low / 1.5);
	high = Math.log(high * 1.5);
	const y = (ms) => CHART - 24 - ((Math.log(Math.max(1, ms)) - low) / (high - low)) * (CHART - 40);
	const x = (i) => LEFT + Math.max(0, scale.x(runs.start[i]));
	const svg = drawn('svg', {
		role: 'img',
		'aria-label': `Durations of ${l.lane.name}: median ${durationText(l.median)}, 95 % within ${durationText(l.high)}, ${l.failed} failed`,
		viewBox: `0 0 ${width} ${CHART}`,
		width: '100%',
		height: CHART,
		preserveAspectRatio: 'none',
	});
	const nice = NICE.filter((ms) => Math.log(ms) > low && Math.log(ms) < high);
	const ticks = nice.filter((_, n) => n % Math.ceil(nice.length / 6) === 0);
	for (const ms of ticks) {
		svg.append(drawn('path', { class: 'grid', d: `M${LEFT} ${y(ms).toFixed(1)}H${width - 8}` }));
		svg.append(drawn('text', { x: LEFT - 6, y: (y(ms) + 4).toFixed(1), 'text-anchor': 'end' }, durationText(ms)));
	}
	for (const t of boundaries(chosen.from, chosen.to, Math.floor(width / 90)).times) {
		const at = LEFT + scale.x(t);
		svg.append(drawn('path', { class: 'grid', d: `M${at.toFixed(1)} ${CHART - 24}v4` }));
		if (at < width - 30) svg.append(drawn('text', { x: at.toFixed(1), y: CHART - 8, 'text-anchor': 'middle' }, clockText(t) === '00:00' ? shortDay(t) : clockText(t)));
	}
	const good = dots.filter((i) => runs.state[i] === OK);
	const radius = dots.length > 1000 ? 1.5 : dots.length > 200 ? 2 : 3;
	const dot = (i) => `M${(x(i) - radius).toFixed(1)} ${y(took(i)).toFixed(1)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
	const bad = dots.filter((i) => isFailure(runs.state[i]));
	svg.append(drawn('path', { class: 'f0', d: good.map(dot).join('') }));
	svg.append(drawn('path', { class: 'high', d: running(good, 0.95, x, y) }));
	svg.append(drawn('path', { class: 'median', d: running(good, 0.5, x, y) }));
	svg.append(drawn('path', { class: 'mark', d: bad.map((i) => cross(x(i), Math.round(y(took(i))), 3)).join('') }));
	body.append(svg);
	body.append(element('p', { class: 'help' }, `● a successful run, × a failed one, — the median and - - the 95 % of each 20 runs. Median ${durationText(l.median)}, 95 % within ${durationText(l.high)}. ${zoneText(chosen.to)}.`));
}

// running returns the line of a quantile of each 20 attempts, or of fewer at the start. It has at most 500 points.
function running(list, q, x, y) {
	const every = Math.max(1, Math.floor(list.length / 500));
	let d = '';
	for (let n = 0; n < list.length; n += every) {
		const window = sorted(list.slice(Math.max(0, n - 19), n + 1).map((i) => runs.took[i]));
		d += `${d === '' ? 'M' : 'L'}${x(list[n]).toFixed(1)} ${y(quantile(window, q)).toFixed(1)}`;
	}
	return d;
}
