// The controls, and what they change.

function show() {
	readView();
	chosen = select();
	for (const time of document.querySelectorAll('time')) time.textContent = minuteText(Date.parse(time.dateTime));
	showLanes(chosen);
	showChart(chosen);
	const { rows, hidden } = showRuns();
	const told = [];
	const filtered = addressOf({ utc: false, sort: '-start' }) !== '#';
	byId('reset').hidden = !filtered;
	if (filtered) {
		told.push(`The filter leaves ${plural(chosen.count, 'run')} of ${plural(rows, 'key')} in ${plural(chosen.lanes.length, 'job')}.`);
		const aggregated = data.old.l.length > 0 && chosen.lanes.every((l) => l.olds.length === 0);
		if (aggregated) told.push(' The older runs are only counted by day and job, so they are not among them.');
	}
	const status = byId('told');
	status.replaceChildren(...told);
	if (hidden > 0) {
		status.append(` Steps and items that succeeded are not listed: ${hidden.toLocaleString('en')}. `, element('a', { href: addressOf({ all: true }) }, 'List them'));
	}
	setControl(byId('q'), view.q);
	setControl(byId('from'), view.from === null ? '' : inputText(view.from));
	setControl(byId('to'), view.to === null ? '' : inputText(view.to));
	setControl(byId('zone'), inUTC ? 'utc' : '');
	for (const box of byId('states').querySelectorAll('input')) box.checked = view.states.includes(box.value);
}

// setControl leaves a control alone in which the user is typing.
function setControl(control, value) {
	if (control !== document.activeElement && control.value !== value) control.value = value;
}

function makeControls() {
	const totals = new Map(GROUPS.map(([name]) => [name, 0]));
	for (let k = 0; k < keys.count; k++) {
		for (const [name, states] of GROUPS) if (states.includes(keys.state(k))) totals.set(name, totals.get(name) + 1);
	}
	const boxes = element('div', { class: 'boxes' });
	for (const [name] of GROUPS) {
		const box = element('input', { type: 'checkbox', value: name });
		boxes.append(element('label', {}, box, `${name} ${totals.get(name).toLocaleString('en')}`));
	}
	boxes.addEventListener('change', () => {
		const states = [...boxes.querySelectorAll('input:checked')].map((box) => box.value);
		change({ states });
	});
	byId('states').append(boxes);
	let timer = 0;
	byId('q').addEventListener('input', (event) => {
		clearTimeout(timer);
		timer = setTimeout(() => change({ q: event.target.value }, true), 150);
	});
	for (const name of ['from', 'to']) {
		byId(name).addEventListener('change', (event) => {
			const t = parseTime(event.target.value);
			change({ [name]: Number.isNaN(t) ? null : t });
		});
	}
	byId('zone').addEventListener('change', (event) => change({ utc: event.target.value === 'utc' }));
	byId('reset').addEventListener('click', () => change({ q: '', states: [], from: null, to: null, lane: null, all: false }));
	byId('more-lanes').addEventListener('click', () => {
		lanesShown += LANES_AT_ONCE;
		showLanes(chosen);
	});
	byId('more-runs').addEventListener('click', () => {
		rowsShown += ROWS_AT_ONCE;
		showRuns();
	});
	for (const th of byId('runs').tHead.rows[0].cells) {
		if (!th.dataset.sort) continue;
		const button = element('button', { type: 'button' }, th.textContent, element('span', { class: 'arrow', 'aria-hidden': 'true' }));
		button.addEventListener('click', () => {
			const name = th.dataset.sort;
			change({ sort: view.sort === name ? `-${name}` : view.sort === `-${name}` ? name : name === 'start' || name === 'took' ? `-${name}` : name });
		});
		th.replaceChildren(button);
	}
	for (const link of document.querySelectorAll('a[data-scroll]')) {
		link.addEventListener('click', (event) => {
			event.preventDefault(); // the address is the view
			document.querySelector(link.hash).scrollIntoView();
		});
	}
	for (const id of ['filters', 'lanes-help']) byId(id).hidden = false;
}

// listenToStrips zooms to what is dragged or clicked, and shows what is below the pointer.
function listenToStrips() {
	const table = byId('lanes');
	const tip = byId('tip');
	let drag = null;
	const placeOf = (event) => {
		const svg = event.target.closest?.('td.strip svg');
		if (!svg) return null;
		const box = svg.getBoundingClientRect();
		const lane = chosen.lanes.find((l) => l.index === Number(svg.closest('tr').dataset.lane));
		return { svg, box, lane, x: ((event.clientX - box.left) / box.width) * lastPlan.scale.width };
	};
	table.addEventListener('pointerdown', (event) => {
		const place = placeOf(event);
		if (!place || event.button !== 0) return;
		const shade = drawn('path', { class: 'drag' });
		place.svg.append(shade);
		place.svg.setPointerCapture(event.pointerId);
		drag = { ...place, shade, to: place.x };
	});
	table.addEventListener('pointermove', (event) => {
		if (drag) {
			const x = ((event.clientX - drag.box.left) / drag.box.width) * lastPlan.scale.width;
			drag.to = Math.min(lastPlan.scale.width, Math.max(0, x));
			drag.shade.setAttribute('d', rect(Math.min(drag.x, drag.to), 0, Math.abs(drag.to - drag.x), STRIP));
		}
		const place = placeOf(event);
		const text = place ? tipOf(place.lane, lastPlan.scale.time(place.x)) : null;
		tip.hidden = !text;
		if (!text) return;
		tip.textContent = text;
		tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
		tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
	});
	table.addEventListener('pointerleave', () => {
		tip.hidden = true;
	});
	const end = (event) => {
		if (!drag) return;
		const { scale, bounds } = lastPlan;
		const { x, to, shade } = drag;
		drag = null;
		shade.remove();
		if (event.type !== 'pointerup') return;
		let from = scale.time(Math.min(x, to));
		let until = scale.time(Math.max(x, to));
		if (Math.abs(to - x) < 4) {
			const n = bounds ? bounds.findIndex((t) => t > from) : -1;
			if (n < 1) return;
			[from, until] = [bounds[n - 1], bounds[n]];
		}
		from = Math.floor(from / MINUTE) * MINUTE;
		until = Math.max(from + MINUTE, Math.ceil(until / MINUTE) * MINUTE);
		tip.hidden = true;
		if (from > chosen.from || until < chosen.to) change({ from, to: until });
	};
	table.addEventListener('pointerup', end);
	table.addEventListener('pointercancel', end);
}

makeControls();
listenToStrips();
addEventListener('hashchange', show);
document.addEventListener('keydown', (event) => {
	if (event.key !== 'Escape' || event.target === byId('q')) return;
	if (view.from !== null || view.to !== null) change({ from: null, to: null });
	else if (view.lane !== null) change({ lane: null });
});
let drawnWidth = innerWidth;
addEventListener('resize', () => {
	if (innerWidth === drawnWidth) return;
	drawnWidth = innerWidth;
	requestAnimationFrame(() => {
		showLanes(chosen);
		showChart(chosen);
	});
});
show();
