// Opens the page that the variable PAGE names in Chromium, and uses it. report/browser_test.go makes the page and starts this.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { HtmlValidate } from 'html-validate';
import { chromium } from 'playwright-core';

const file = process.env.PAGE;
const address = `file://${file}`;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;

before(async () => {
	browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
});
after(() => browser.close());

// open opens the page in a new window. Any message of the browser, such as a violation of the policy, and any request for
// something else fails the test.
async function open(t, hash = '', options = {}) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: 'Europe/Berlin', ...options });
	const page = await context.newPage();
	const faults = [];
	page.on('console', (message) => faults.push(message.text()));
	page.on('pageerror', (error) => faults.push(String(error)));
	page.on('request', (request) => {
		if (request.url().split('#')[0] !== address) faults.push(`a request for ${request.url()}`);
	});
	await page.goto(address + hash);
	t.after(async () => {
		await context.close();
		assert.deepEqual(faults, []);
	});
	return page;
}

// keysOf returns the keys of the rows.
const keysOf = (page) => page.locator('#runs tr[data-key] .key').evaluateAll((cells) => cells.map((cell) => cell.firstChild.data));
const lanesOf = (page) => page.locator('#lanes tbody .key').allTextContents();

// settled waits until the page shows the address.
const settled = (page, hash) => page.waitForFunction((want) => location.hash.includes(want) && view !== null, hash);

test('the address selects by state and by pattern, and Back goes back', async (t) => {
	const page = await open(t, '#s=failed');
	const failed = await keysOf(page);
	assert.equal(failed.length, 13);
	await page.getByLabel('Keys', { exact: true }).fill('deploy:*');
	await settled(page, 'deploy');
	assert.deepEqual(await lanesOf(page), ['deploy:prod:*']);
	assert.ok((await keysOf(page)).every((key) => key.startsWith('deploy:')));
	await page.getByLabel('running').check();
	await settled(page, 'running');
	await page.goBack();
	await page.waitForFunction(() => !location.hash.includes('running'));
	assert.equal(await page.getByLabel('running').isChecked(), false);
	await page.getByRole('button', { name: 'Show all' }).click();
	await page.waitForFunction(() => location.hash === '');
	assert.equal((await keysOf(page)).length, 500);
});

test('all keys of a key', async (t) => {
	const page = await open(t, '#q=backup:[a-d]b&s=failed,running');
	assert.deepEqual(await keysOf(page), ['backup:db']);
	for (const nonsense of ['#q=[z-a]', '#from=x&to=2026-13-99&lane=none&sort=constructor&s=__proto__', '#q=%00(']) await open(t, nonsense);
});

test('a pattern may have any character', async (t) => {
	const page = await open(t);
	const wrong = await page.evaluate(() => {
		const found = [];
		for (let code = 33; code < 127; code++) {
			const c = String.fromCharCode(code);
			const quoted = '*?['.includes(c) ? `[${c}]` : c;
			keys.name = () => `x${c}yz`;
			if (!matcher(`x${quoted}y*`)(0)) found.push(c);
			keys.name = () => 'x\u00e4yz';
			if (matcher(`x${quoted}y*`)(0)) found.push(`not ${c}`);
		}
		for (const [pattern, key, want] of [['a[^]-]*', 'ab', true], ['a[^]-]*', 'a]', false], ['a[]-]', 'a]', true], ['a[!b]', 'ab', true]]) {
			keys.name = () => key;
			if (matcher(pattern)(0) !== want) found.push(pattern);
		}
		return found;
	});
	assert.deepEqual(wrong, []);
});

test('dragging zooms in, Esc goes back', async (t) => {
	const page = await open(t);
	const strip = page.locator('#lanes tbody svg').first();
	await strip.scrollIntoViewIfNeeded();
	const box = await strip.boundingBox();
	await page.mouse.move(box.x + 100, box.y + 10);
	await page.mouse.down();
	await page.mouse.move(box.x + 140, box.y + 12, { steps: 4 });
	await page.mouse.up();
	await settled(page, 'from=');
	const { from, to } = await page.evaluate(() => chosen);
	assert.ok(to - from < 4 * 24 * 3600e3 && to - from > 24 * 3600e3, `${to - from} ms`);
	await page.keyboard.press('Escape');
	await page.waitForFunction(() => location.hash === '');
});

test('a day is drawn as bars, a month as cells', async (t) => {
	const page = await open(t, '#tz=utc');
	assert.ok(await page.evaluate(() => lastPlan.bounds.length > 20));
	const day = await open(t, '#from=2026-11-13&to=2026-11-14&tz=utc');
	assert.equal(await day.evaluate(() => lastPlan.bounds), null);
	const few = await open(t, '#q=archive:*');
	assert.ok(await few.evaluate(() => lastPlan.scale.gaps.length > 2));
});

test('times are those of the viewer, or UTC', async (t) => {
	const page = await open(t, '#q=migrate:v7');
	const started = page.locator('#runs tbody tr td:nth-child(3)');
	assert.equal(await started.textContent(), '2026-11-28 12:00');
	await page.getByLabel('Times').selectOption('utc');
	await settled(page, 'tz=utc');
	assert.equal(await started.textContent(), '2026-11-28 11:00');
	assert.match(await page.locator('#axis').textContent(), /28 Nov/);
});

test('the keyboard alone reaches the filter, the jobs and the rows', async (t) => {
	const page = await open(t, '#q=backup:db&s=failed');
	const reached = [];
	for (let i = 0; i < 60; i++) {
		await page.keyboard.press('Tab');
		reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.type));
		if (reached.at(-1) === 'open') break;
	}
	for (const want of ['q', 'checkbox', 'from', 'zone', 'reset', 'key', 'open']) assert.ok(reached.includes(want), `${want} in ${reached}`);
	await page.keyboard.press('Enter');
	assert.match(await page.locator('#runs .details').textContent(), /attempt 1: × timed out .*2026-11-18 03:00:00, took 2 h.*idem logs --window 2026-11-18 backup:db/s);
	await page.keyboard.press('Enter');
	assert.equal(await page.locator('#runs .details').count(), 0);
});

test('a job has a chart of its durations', async (t) => {
	const page = await open(t);
	await page.getByRole('link', { name: 'backup:db' }).click();
	await settled(page, 'lane=');
	assert.match(await page.getByRole('img', { name: /^Durations of backup:db: median 43 min/ }).innerHTML(), /class="median"/);
	await page.keyboard.press('Escape');
	await page.waitForFunction(() => location.hash === '');
});

test('columns sort', async (t) => {
	const page = await open(t, '#q=backup:db');
	await page.getByRole('button', { name: 'Took' }).click();
	await settled(page, 'sort=-took');
	assert.equal(await page.locator('#runs tbody tr').first().locator('td').nth(1).textContent(), '2 h 1 min');
	assert.equal(await page.locator('th[data-sort=took]').getAttribute('aria-sort'), 'descending');
});

test('without JavaScript the jobs and the failures can be read', async (t) => {
	const page = await open(t, '', { javaScriptEnabled: false });
	assert.equal(await page.locator('#lanes tbody tr').count(), 8);
	assert.equal(await page.locator('#runs tbody tr').count(), 15);
	assert.equal(await page.locator('#filters').isVisible(), false);
	assert.match(await page.locator('header').textContent(), /From 2026-11-01 00:00 UTC/);
	await page.locator('.attention details').nth(1).locator('summary').click();
	assert.ok(await page.getByText('idem logs deploy:prod:').first().isVisible());
});

test('nothing is wider than a small screen', async (t) => {
	for (const width of [320, 360, 768, 1920]) {
		const page = await open(t, '', { viewport: { width, height: 800 } });
		assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${width}`);
	}
});

for (const colorScheme of ['light', 'dark']) {
	test(`axe finds nothing serious, ${colorScheme}`, async (t) => {
		const page = await open(t, '#q=backup:db', { colorScheme });
		await page.locator('#runs .open').first().click();
		await page.evaluate(axe);
		const { violations } = await page.evaluate(() => axe.run());
		assert.deepEqual(violations.map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html}`), []);
	});
}

test('the HTML is valid', async () => {
	const report = await new HtmlValidate({ extends: ['html-validate:recommended'] }).validateString(readFileSync(file, 'utf8'));
	assert.deepEqual(report.results.flatMap((r) => r.messages.map((m) => `${m.line}:${m.column} ${m.message}`)), []);
});

test('on paper there are the jobs and what needs attention', async (t) => {
	const page = await open(t);
	await page.emulateMedia({ media: 'print' });
	assert.equal(await page.locator('#lanes').isVisible(), true);
	assert.equal(await page.locator('.attention').first().isVisible(), true);
	for (const id of ['#filters', '#runs-section']) assert.equal(await page.locator(id).isVisible(), false, id);
});
