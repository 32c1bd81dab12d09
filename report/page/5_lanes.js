// The table of jobs.

const LANES_AT_ONCE = 100;
let lanesShown = LANES_AT_ONCE;
let lastPlan = null;

// trendText says that a job got slower or faster, if it did so clearly.
function trendText(l) {
	if (!(l.trend >= 1.5 || l.trend <= 0.5)) return null;
	const factor = l.trend >= 1.5 ? l.trend : 1 / l.trend;
	return `${l.trend >= 1.5 ? '▲' : '▼'} ${factor >= 10 ? Math.round(factor) : factor.toFixed(1)} × ${l.trend >= 1.5 ? 'slower' : 'faster'}`;
}

function laneRow(l, plan) {
	const chosen = view.lane === l.index;
	const link = element('a', { href: addressOf({ lane: chosen ? null : l.index }), class: 'key', 'aria-current': chosen ? 'true' : null }, l.lane.name || 'further jobs');
	const name = element('th', { scope: 'row' }, link);
	if (severalNamespaces) name.append(element('span', { class: 'space' }, ' ' + l.lane.namespace));
	const trend = trendText(l);
	if (trend) name.append(element('span', { class: 'trend', title: 'the median of the newest fifth of the successful runs, compared with the others' }, trend));
	const facts = [plural(l.count, 'run')];
	if (l.failed > 0) facts.push(`${l.failed} failed`);
	if (l.unknown > 0) facts.push(`${l.unknown} unknown`);
	if (!Number.isNaN(l.median)) facts.push(durationText(l.median));
	name.append(element('span', { class: 'summary' }, facts.join(' · ')));
	const number = (n, mark) => element('td', { class: `number${n > 0 && mark ? ` ${mark}` : ''}` }, n === 0 && mark ? '–' : n.toLocaleString('en'));
	return element(
		'tr',
		{ class: chosen ? 'chosen' : null, 'data-lane': l.index },
		name,
		number(l.count),
		number(l.failed, 'failed-number'),
		number(l.unknown, 'unknown-number'),
		element('td', { class: 'number wide' }, durationText(l.median)),
		element('td', { class: 'number wide' }, durationText(l.high)),
		element('td', { class: 'when wide' }, l.last < 0 ? '–' : `${shortDay(runs.start[l.last])} ${clockText(runs.start[l.last])}`),
		element('td', { class: 'strip' }, stripOf(l, plan)),
	);
}

function showLanes(chosen) {
	const body = byId('lanes').tBodies[0];
	const axis = byId('axis');
	body.replaceChildren();
	const width = Math.max(80, axis.clientWidth - 16);
	lastPlan = planOf(chosen, width);
	axis.replaceChildren(element('span', { class: 'hidden' }, 'Timeline'), axisOf(lastPlan));
	const some = chosen.lanes.slice(0, lanesShown);
	body.append(...some.map((l) => laneRow(l, lastPlan)));
	if (some.length === 0) body.append(element('tr', {}, element('td', { colspan: 8 }, keys.count === 0 ? 'Nothing is recorded.' : 'Nothing matches the filter.')));
	const left = chosen.lanes.length - some.length;
	byId('more-lanes').hidden = left === 0;
	byId('more-lanes').textContent = `Show ${Math.min(left, LANES_AT_ONCE)} more of ${left.toLocaleString('en')}`;
}

// tipOf describes what is at a place of a strip.
function tipOf(l, t) {
	if (lastPlan.bounds) {
		const c = cellsOf(l, lastPlan.bounds).find((one) => t >= one.from && t < one.to);
		if (!c || c.count === 0) return null;
		const days = lastPlan.step.length >= DAY;
		const text = [days ? `${weekday(c.from)} ${dayText(c.from)}` : minuteText(c.from), ` to ${days ? dayText(c.to) : clockText(c.to)}\n`];
		if (lastPlan.step.length === DAY) text.pop();
		if (text.length === 1) text.push('\n');
		text.push(plural(c.count, 'run'));
		if (c.failed > 0) text.push(`, ${c.failed} failed`);
		if (c.unknown > 0) text.push(`, ${c.unknown} unknown`);
		if (c.running > 0) text.push(`, ${c.running} running`);
		text.push(`\nlongest ${durationText(c.longest)}`);
		return text.join('');
	}
	const near = 4 * ((lastPlan.scale.time(5) - lastPlan.scale.time(0)) / 5);
	const hits = [...l.runs, ...l.inner].filter((i) => runs.start[i] - near <= t && endOf(i) + near >= t);
	if (hits.length === 0) return null;
	const lines = hits.slice(0, 6).map((i) => {
		const k = runs.key[i];
		const window = keys.window(k) ? ` ${keys.window(k)}` : '';
		return `${keys.name(k)}${window}: ${STATES[runs.state[i]][1]}, ${secondText(runs.start[i])}, ${durationText(runs.took[i])}`;
	});
	if (hits.length > 6) lines.push(`and ${hits.length - 6} more`);
	return lines.join('\n');
}
