// live.js - asks the relay again and again, while somebody looks
import {get, me} from "./api.js";

const STATUS_MS = 3000;
const BAR_MS = 10000;
const BARS = 60;

// Calls f() now and then `ms` after each time it is done; a hidden page rests. Ends with `signal`.
export function repeat(ms, f, signal)
{
	let timer = null;

	async function turn()
	{
		timer = null;
		if (signal.aborted || document.hidden)
			return;
		try {
			await f();
		} catch (error) {
			if (error.name !== "AbortError" && error.status === undefined)
				console.error(error);
		}
		if (!signal.aborted && timer === null)
			timer = setTimeout(turn, ms);
	}
	function wake()
	{
		if (!document.hidden && timer === null)
			turn();
	}
	document.addEventListener("visibilitychange", wake, {signal});
	signal.addEventListener("abort", () => clearTimeout(timer));
	turn();
	return () => {
		clearTimeout(timer);
		turn();
	};
}

// --- the status, once for everybody who shows something of it ---------------------------------

const listeners = new Set();
let latest = null;
let failure = null;
let again = () => {};

export const status = () => latest;
export const statusFailure = () => failure;
// Ask now: something was changed.
export const refreshStatus = () => again();

export function onStatus(listener, signal)
{
	listeners.add(listener);
	signal.addEventListener("abort", () => listeners.delete(listener));
	if (latest !== null)
		listener(latest);
}

export function startStatus(signal)
{
	again = repeat(STATUS_MS, async () => {
		try {
			latest = await get("/status", {}, {signal});
			failure = null;
			count(latest);
		} catch (error) {
			if (error.name === "AbortError" || me() === null)
				return;
			failure = error;
		}
		for (const listener of [...listeners])
			listener(latest);
	}, signal);
}

// --- how much in each ten seconds, for as long as this page is open ---------------------------

const bars = [];
let before = null;

export const history = () => bars;
export const barSeconds = BAR_MS / 1000;
export const barCount = BARS;

function sumOf(routes, name)
{
	return routes.reduce((sum, route) => sum + route[name], 0);
}

// Counters since the relay's start.
function countersOf(status)
{
	return {
		accepted: status.accepted ?? 0,
		delivered: sumOf(status.routes, "delivered"),
		deferred: sumOf(status.routes, "deferred"),
		failed: sumOf(status.routes, "failed"),
		dropped: status.queue.recipients.dropped ?? 0,
	};
}

function bar(at)
{
	while (bars.length === 0 || bars.at(-1).at + BAR_MS <= at) {
		const start = bars.length === 0 ? Math.floor(at / BAR_MS) * BAR_MS : bars.at(-1).at + BAR_MS;

		bars.push({at: start, accepted: 0, delivered: 0, deferred: 0, failed: 0, dropped: 0});
		if (bars.length > BARS)
			bars.shift();
	}
	return bars.at(-1);
}

function count(status)
{
	const now = {start: status.started_at, ...countersOf(status)};
	const at = Date.now();

	// After a long sleep or a restart there is nothing to compare with.
	if (before !== null && before.start === now.start && at - bar(before.at).at < BARS * BAR_MS) {
		const current = bar(at);

		for (const name of ["accepted", "delivered", "deferred", "failed", "dropped"])
			current[name] += Math.max(0, now[name] - before[name]);
	} else {
		bars.length = 0;
		bar(at);
	}
	before = {at, ...now};
}
