// view-bytes.js - a message as it is stored, and the copy that leaves beside it
import { complaint } from "./dialog.js";
import { h, replace } from "./dom.js";
import { plural, size } from "./format.js";
import { icon } from "./icons.js";
import { compare, linesOf, readText, split } from "./bytes.js";

const CONTEXT = 3; // lines that are the same around those that differ
const COMPARED_MAX = 2 * 1024 * 1024;

export async function showRaw(message, signal) {
	const { text, whole } = await readText(`/messages/${message.id}/raw`, signal);

	return [
		!whole &&
			h(
				"p.note",
				{},
				`Only the beginning is shown: the message has ${size(message.size)}. Download it to see all of it.`,
			),
		h("pre.bytes", {}, linesOf(text).join("\n")),
	];
}

// --- as sent ---------------------------------------------------------------------------------------

function mark(step) {
	const sign = { same: " ", gone: "\u2212", new: "+" }[step.kind];
	const said = { same: "", gone: "removed: ", new: "added: " }[step.kind];

	return h(
		"div.diff-line",
		{ class: "is-" + step.kind },
		h("span.diff-sign", { "aria-hidden": "true" }, sign),
		said && h("span.sr", {}, said),
		step.line,
	);
}

// Long stretches without a difference are folded.
function fold(steps) {
	const nodes = [];
	const near = new Set();

	steps.forEach((step, i) => {
		if (step.kind !== "same") for (let j = i - CONTEXT; j <= i + CONTEXT; j++) near.add(j);
	});
	for (let i = 0; i < steps.length; i++) {
		let end = i;

		while (end < steps.length && !near.has(end)) end++;
		if (end - i > 2) {
			const hidden = steps.slice(i, end);

			nodes.push(
				h(
					"details.diff-fold",
					{},
					h("summary", {}, plural(hidden.length, "line") + " the same"),
					hidden.map(mark),
				),
			);
			i = end - 1;
		} else {
			nodes.push(mark(steps[i]));
		}
	}
	return nodes;
}

const lines = fields => fields.flatMap(field => field.split("\r\n"));

function bodyNote(a, b) {
	if (!a.whole || !b.whole)
		return h("p.muted", {}, "The message is too large to compare its body here.");
	const same = a.body.length === b.body.length && a.body.every((line, i) => line === b.body[i]);

	return same
		? h(
				"p.is-well",
				{},
				icon("check"),
				` The body leaves byte for byte as it came (${plural(a.body.length, "line")}).`,
			)
		: h("pre.bytes.diff", {}, fold(compare(a.body, b.body)));
}

async function compared(message, recipient, signal) {
	const path = `/messages/${message.id}`;
	const [raw, sent] = await Promise.all([
		readText(path + "/raw", signal, COMPARED_MAX),
		readText(
			`${path}/sent${recipient ? "?recipient=" + encodeURIComponent(recipient) : ""}`,
			signal,
			COMPARED_MAX,
		),
	]);
	const a = { ...split(raw.text), whole: raw.whole };
	const b = { ...split(sent.text), whole: sent.whole };
	const steps = compare(lines(a.fields), lines(b.fields));
	const changed = steps.filter(step => step.kind !== "same").length;

	return [
		h("h2", {}, "Header"),
		changed === 0
			? h("p.is-well", {}, icon("check"), " Nothing is changed.")
			: h("pre.bytes.diff", {}, fold(steps)),
		h("h2", {}, "Body"),
		bodyNote(a, b),
	];
}

export async function showSent(message, signal) {
	const place = h("div");
	const choose = h(
		"select",
		{ "aria-label": "The copy for", on: { change: draw } },
		message.recipients
			.slice(0, 1000)
			.map(one => h("option", { value: one.address }, one.address)),
	);

	async function draw() {
		replace(place, h("p.muted", {}, "Loading …"));
		try {
			replace(place, await compared(message, choose.value, signal));
		} catch (error) {
			if (error.name !== "AbortError") replace(place, complaint(error));
		}
	}
	await draw();
	return [
		h(
			"p.muted",
			{},
			"The copy that leaves, or would leave, by the whitelist and the policy in force now, against what was stored. \u2212 is what stays here, + is what is put in its place.",
		),
		message.recipients.length > 1 && h("p.inline", {}, h("label", {}, "The copy for ", choose)),
		place,
	];
}
