// Times and durations as text, in the zone of the viewer or in UTC.

const MINUTE = 60e3;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let inUTC = false;

const two = (n) => String(n).padStart(2, '0');

// fields returns the parts of a time in the chosen zone: year, month from 0, day, hours, minutes, seconds.
function fields(ms) {
	const d = new Date(ms);
	return inUTC
		? [d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()]
		: [d.getFullYear(), d.getMonth(), d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()];
}

// timeOf is the reverse of fields. A day or hour may be greater than its month or day has.
function timeOf(year, month, day, hours = 0, minutes = 0) {
	return inUTC ? Date.UTC(year, month, day, hours, minutes) : new Date(year, month, day, hours, minutes).getTime();
}

function dayText(ms) {
	const [year, month, day] = fields(ms);
	return `${year}-${two(month + 1)}-${two(day)}`;
}

function clockText(ms) {
	const [, , , hours, minutes] = fields(ms);
	return `${two(hours)}:${two(minutes)}`;
}

const minuteText = (ms) => `${dayText(ms)} ${clockText(ms)}`;
const secondText = (ms) => `${minuteText(ms)}:${two(fields(ms)[5])}`;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

function shortDay(ms) {
	const [, month, day] = fields(ms);
	return `${day} ${MONTHS[month]}`;
}

function weekday(ms) {
	const [year, month, day] = fields(ms);
	return DAYS[new Date(Date.UTC(year, month, day)).getUTCDay()];
}

// zoneText names the zone at a time, such as "UTC+01:00".
function zoneText(ms) {
	const offset = inUTC ? 0 : -new Date(ms).getTimezoneOffset();
	if (offset === 0) return 'UTC';
	const size = Math.abs(offset);
	return `UTC${offset < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

// durationText has two units if the first one is below 10, as static.go writes durations.
function durationText(ms) {
	if (Number.isNaN(ms)) return '–';
	if (ms < 1000) return `${Math.round(ms)} ms`;
	if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
	const s = Math.round(ms / 1000);
	if (s < 60) return `${s} s`;
	const pair = (n, size, big, small) => (n % size === 0 ? `${n / size} ${big}` : `${Math.floor(n / size)} ${big} ${n % size} ${small}`);
	if (s < 600) return pair(s, 60, 'min', 's');
	const minutes = Math.round(s / 60);
	if (minutes < 60) return `${minutes} min`;
	if (minutes < 600) return pair(minutes, 60, 'h', 'min');
	const hours = Math.round(minutes / 60);
	if (hours < 24) return `${hours} h`;
	if (hours < 240) return pair(hours, 24, 'd', 'h');
	return `${Math.round(hours / 24)} d`;
}

const plural = (n, thing) => `${n.toLocaleString('en')} ${thing}${n === 1 ? '' : 's'}`;

// The steps of time axes and of cells, shortest first. Each step gives the next boundary after a time.
const STEPS = [
	...[1, 5, 15, 30].map((n) => ({ length: n * MINUTE, next: (f) => timeOf(f[0], f[1], f[2], f[3], (Math.floor(f[4] / n) + 1) * n) })),
	...[1, 3, 6, 12].map((n) => ({ length: n * HOUR, next: (f) => timeOf(f[0], f[1], f[2], (Math.floor(f[3] / n) + 1) * n) })),
	...[1, 2].map((n) => ({ length: n * DAY, next: (f) => timeOf(f[0], f[1], f[2] + n) })),
	{ length: 7 * DAY, next: (f) => timeOf(f[0], f[1], f[2] + 1 + ((7 - new Date(Date.UTC(f[0], f[1], f[2])).getUTCDay()) % 7)) },
	...[1, 3, 12].map((n) => ({ length: n * 30.5 * DAY, next: (f) => timeOf(f[0], (Math.floor(f[1] / n) + 1) * n, 1) })),
];

// boundaries returns the shortest step of which at most n fit between two times, and the times at which steps begin
// there.
function boundaries(from, to, n) {
	const step = STEPS.find((s) => (to - from) / s.length <= n) ?? STEPS[STEPS.length - 1];
	const times = [];
	let t = from;
	while (times.length < 1000) {
		let next = step.next(fields(t));
		while (next <= t) next += step.length; // the hour that is set back in autumn
		t = next;
		if (t >= to) break;
		times.push(t);
	}
	return { step, times };
}

// inputText is a time as an input of type datetime-local has it.
const inputText = (ms) => `${dayText(ms)}T${clockText(ms)}`;

// parseTime reads a time of the address or of an input: a day, or a day and a time of day, in the chosen zone, or with Z.
// It returns NaN for another text.
function parseTime(text) {
	const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?)?(Z?)$/.exec(text ?? '');
	if (!m) return NaN;
	if (m[6]) return Date.parse(text.replace(' ', 'T'));
	return timeOf(+m[1], m[2] - 1, +m[3], +(m[4] ?? 0), +(m[5] ?? 0));
}
