// live.js - asks the relay again when something happened, and now and then, while somebody looks
import { get, me } from "./api.js";
import { isLive, onEvent } from "./events.js";

const STATUS_MS = 3000;
const BAR_MS = 10000;
const BARS = 60;

const CALM_MS = 15000; // while the stream tells
const GAP_MS = 600; // between two looks, however much happens

// Events after which mail is not where it was.
export const mail = ["accepted", "verdict", "attempt", "state", "deleted", "lost"];

/*
 * Calls f() now, when an event comes (of one of `types`, or which that function takes), and now and
 * then: `ms` after each time it is done, or seldom while the stream of events is there. A hidden page
 * rests. Ends with `signal`.
 */
export function repeat(ms, f, signal, types = mail) {
	let timer = null;
	let running = false;
	let nudged = false;

	function plan(wait) {
		clearTimeout(timer);
		timer = signal.aborted ? null : setTimeout(turn, wait);
	}
	async function turn() {
		if (running || document.hidden) {
			nudged = true;
			return;
		}
		running = true;
		nudged = false;
		try {
			await f();
		} catch (error) {
			if (error.name !== "AbortError" && error.status === undefined) console.error(error);
		}
		running = false;
		plan(nudged ? GAP_MS : isLive() ? Math.max(ms, CALM_MS) : ms);
	}
	function nudge() {
		if (nudged) return;
		nudged = true;
		if (!running) plan(GAP_MS);
	}
	const wants = typeof types === "function" ? types : event => types.includes(event.type);

	onEvent(event => {
		if (event.type === "cut" || wants(event)) nudge();
	}, signal);
	document.addEventListener("visibilitychange", () => document.hidden || plan(0), { signal });
	signal.addEventListener("abort", () => clearTimeout(timer));
	turn();
	return () => plan(0);
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

export function onStatus(listener, signal) {
	listeners.add(listener);
	signal.addEventListener("abort", () => listeners.delete(listener));
	if (latest !== null) listener(latest);
}

export function startStatus(signal) {
	again = repeat(
		STATUS_MS,
		async () => {
			try {
				latest = await get("/status", {}, { signal });
				failure = null;
				count(latest);
			} catch (error) {
				if (error.name === "AbortError" || me() === null) return;
				failure = error;
			}
			for (const listener of [...listeners]) listener(latest);
		},
		signal,
		[...mail, "whitelist", "rule", "fault", "delivery"],
	);
}

// --- how much in each ten seconds, for as long as this page is open ---------------------------

const bars = [];
let before = null;

export const history = () => bars;
export const barSeconds = BAR_MS / 1000;
export const barCount = BARS;

// Counters since the relay's start: what is stored now may have been there before, or be gone.
function countersOf(status) {
	const { delivered = 0, deferred = 0, failed = 0, dropped = 0 } = status.reached;

	return { accepted: status.accepted ?? 0, delivered, deferred, failed, dropped };
}

function bar(at) {
	while (bars.length === 0 || bars.at(-1).at + BAR_MS <= at) {
		const start =
			bars.length === 0 ? Math.floor(at / BAR_MS) * BAR_MS : bars.at(-1).at + BAR_MS;

		bars.push({ at: start, accepted: 0, delivered: 0, deferred: 0, failed: 0, dropped: 0 });
		if (bars.length > BARS) bars.shift();
	}
	return bars.at(-1);
}

function count(status) {
	const now = { start: status.started_at, ...countersOf(status) };
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
	before = { at, ...now };
}
