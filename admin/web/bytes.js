// bytes.js - messages as they are stored: read as far as it makes sense to show, cut in lines, compared
import { request } from "./api.js";

const SHOWN_MAX = 512 * 1024;

// Up to `max` bytes as text, and whether that was all of it. What is no UTF-8 is read as Latin-1.
export async function readText(path, signal, max = SHOWN_MAX) {
	const response = await request("GET", path, undefined, { signal, headers: { Accept: "*/*" } });
	const reader = response.body.getReader();
	const pieces = [];
	let length = 0;
	let whole = false;

	while (length < max) {
		const { done, value } = await reader.read();

		if (done) {
			whole = true;
			break;
		}
		pieces.push(value);
		length += value.length;
	}
	if (!whole) reader.cancel().catch(() => {});
	const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer()).subarray(0, max);

	return { text: decode(bytes, whole), whole };
}

function decode(bytes, whole) {
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: !whole });
	} catch {
		return new TextDecoder("windows-1252").decode(bytes);
	}
}

// {fields: whole fields with their folded lines, body: the lines behind the empty one}
export function split(text) {
	const end = text.startsWith("\r\n") ? 0 : text.indexOf("\r\n\r\n");
	const header = end < 0 ? text : text.slice(0, end + (end > 0 ? 2 : 0));
	const body = end < 0 ? "" : text.slice(end === 0 ? 2 : end + 4);

	return {
		fields: header.split(/\r\n(?![ \t])/).filter(line => line !== ""),
		body: linesOf(body),
	};
}

export function linesOf(text) {
	const lines = text.split("\r\n");

	if (lines.at(-1) === "") lines.pop();
	return lines;
}

const TABLE_MAX = 4000000; // cells of the comparison; past it what differs is shown as a block

/*
 * What is to be done to `a` to have `b`: [{kind: "same" | "gone" | "new", line}], by the longest
 * common subsequence between the first and the last difference.
 */
export function compare(a, b) {
	let start = 0;
	let end = 0;

	while (start < a.length && start < b.length && a[start] === b[start]) start++;
	while (
		end < a.length - start &&
		end < b.length - start &&
		a[a.length - 1 - end] === b[b.length - 1 - end]
	)
		end++;
	const same = line => ({ kind: "same", line });

	return [
		...a.slice(0, start).map(same),
		...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
		...a.slice(a.length - end).map(same),
	];
}

function middle(a, b) {
	const gone = a.map(line => ({ kind: "gone", line }));
	const fresh = b.map(line => ({ kind: "new", line }));

	if (a.length === 0 || b.length === 0 || a.length * b.length > TABLE_MAX)
		return [...gone, ...fresh];
	return walk(a, b, lengths(a, b));
}

// At [i][j]: how long the longest common subsequence of what follows is.
function lengths(a, b) {
	const width = b.length + 1;
	const table = new Uint16Array((a.length + 1) * width);

	for (let i = a.length - 1; i >= 0; i--)
		for (let j = b.length - 1; j >= 0; j--)
			table[i * width + j] =
				a[i] === b[j]
					? table[(i + 1) * width + j + 1] + 1
					: Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
	return { table, width };
}

function walk(a, b, { table, width }) {
	const steps = [];
	let i = 0;
	let j = 0;

	while (i < a.length || j < b.length)
		if (i < a.length && j < b.length && a[i] === b[j]) {
			steps.push({ kind: "same", line: a[i] });
			i++;
			j++;
		} else if (
			j >= b.length ||
			(i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])
		) {
			steps.push({ kind: "gone", line: a[i++] });
		} else {
			steps.push({ kind: "new", line: b[j++] });
		}
	return steps;
}
