// events.js - what happens, as it happens: one stream for the whole page, while somebody looks
import { me, request } from "./api.js";

const AGAIN_MS = 2000;
const BUSY_MS = 20000; // there are too many streams: ask again after so long

const listeners = new Set();
let last = ""; // the id of the latest event: the stream goes on behind it
let open = false;

// The stream is there: who polls may be calm.
export const isLive = () => open;

// listener(event) for each: {id, type, …what the relay tells}; "opened" and "cut" are of the stream itself
export function onEvent(listener, signal) {
	listeners.add(listener);
	signal.addEventListener("abort", () => listeners.delete(listener));
}

// The lines of one event; a comment alone is none.
function parse(text) {
	const event = { id: "", type: "message", data: "" };

	for (const line of text.split("\n")) {
		const colon = line.indexOf(":");
		const value = line.slice(colon + 1).replace(/^ /, "");

		if (line.startsWith("id:")) event.id = value;
		else if (line.startsWith("event:")) event.type = value;
		else if (line.startsWith("data:")) event.data += value;
	}
	return event.data === "" ? null : { ...JSON.parse(event.data), id: event.id, type: event.type };
}

// text/event-stream until its end; take(event) for each, opened() when it has begun.
export async function readEvents(path, lastId, take, signal, opened = () => {}) {
	const headers = { Accept: "text/event-stream", ...(lastId && { "Last-Event-ID": lastId }) };
	const response = await request("GET", path, undefined, { signal, headers });
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";

	opened();
	for (;;) {
		const { done, value } = await reader.read();

		if (done) return;
		const blocks = (rest + value).split("\n\n");

		rest = blocks.pop();
		for (const event of blocks.map(parse)) if (event) take(event);
	}
}

function tell(event) {
	last = event.id || last;
	for (const listener of [...listeners]) listener(event);
}

const pause = (ms, signal) =>
	new Promise(resolve => {
		const timer = setTimeout(resolve, ms);

		signal.addEventListener("abort", () => {
			clearTimeout(timer);
			resolve();
		});
	});

async function follow(signal) {
	while (!signal.aborted && me() !== null) {
		let wait = AGAIN_MS;

		try {
			await readEvents("/events", last, tell, signal, () => {
				open = true;
				tell({ type: "opened" });
			});
		} catch (error) {
			if (error.status === 503) wait = BUSY_MS;
		}
		if (open) {
			open = false;
			tell({ type: "cut" });
		}
		await pause(wait, signal);
	}
}

// A page that nobody sees gives its connection back; a browser has few of them for one host.
export function startEvents(signal) {
	let seen = null;

	function look() {
		if (document.hidden) {
			seen?.abort();
			seen = null;
		} else if (seen === null) {
			seen = new AbortController();
			follow(seen.signal);
		}
	}
	last = "";
	document.addEventListener("visibilitychange", look, { signal });
	signal.addEventListener("abort", () => seen?.abort());
	look();
}
