// bulk.js - one act on all recipients that a filter lets through, after a look at what that would do
import { verdictNode } from "./allow.js";
import { post } from "./api.js";
import { ask, field } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { acts, count, plural } from "./format.js";
import { refreshStatus } from "./live.js";
import { outcome } from "./parts.js";

const NAMES_SHOWN = 10;

const done = { retry: "tried now", release: "released", hold: "held", cancel: "cancelled" };
const notes = {
	retry: "Where a route stands still they wait for it all the same.",
	release: "Each is judged again when its turn comes, and nobody gets a message twice.",
	hold: "They wait until a person releases them.",
	cancel: "They are never delivered.",
};

function total(name, result) {
	const more = result.next ? " at least" : "";

	return h(
		"p",
		{},
		h("strong", {}, `${plural(result.count, "recipient")}${more} would be ${done[name]}`),
		result.refused > 0 && `, ${count(result.refused)}${more} would stay as they are`,
		result.refused > 0 && result.detail ? `: ${result.detail}.` : ".",
	);
}

function preview(name, result) {
	const judged = new Map(result.items.map(one => [one.address, one.judged]));
	const names = [...judged.keys()].slice(0, NAMES_SHOWN);

	if (result.count + result.refused === 0)
		return h("p", {}, "There is none that this can be done to.");
	return [
		total(name, result),
		name === "release"
			? names.map(input => verdictNode({ input, ...judged.get(input) }))
			: h("p.muted", {}, "For example ", names.join(", "), "."),
		name === "release" &&
			result.count === 0 &&
			h("p", {}, h("strong", {}, "So nothing would leave: "), "allow the recipient first."),
		h("p.muted", {}, notes[name]),
	];
}

// The relay goes in steps; so do we, say how far it is, and stop where the person closes the dialog.
async function runAll(path, body, form, told) {
	const sum = { changed: 0, wished: 0, refused: 0, detail: null };
	let after;

	do {
		const step = await post(path, { ...body, ...(after && { after }) });

		for (const name of ["changed", "wished", "refused"]) sum[name] += step[name];
		sum.detail = sum.detail || step.detail;
		sum.delivery = step.delivery;
		after = step.next;
		told(sum);
	} while (after && form.isConnected);
	return sum;
}

/*
 * Ask, and act on every recipient that `filter` (of POST /recipients/…) lets through; without any
 * filter on all. True: something was done.
 */
export async function bulk(name, filter, title) {
	const path = "/recipients/" + name;
	const body = Object.values(filter).some(Boolean) ? filter : { all: true };
	const dryRun = await post(path, { ...body, dry_run: true });
	const progress = h("p", { role: "status" });
	const withNote = form => {
		const note = form.note.value.trim();

		return note ? { ...body, note } : body;
	};
	const result = await ask({
		title,
		action: acts[name].word,
		danger: name === "cancel",
		content: (form, submit) => {
			submit.disabled = dryRun.count === 0;
			return [
				preview(name, dryRun),
				field("Why", h("input", { name: "note", maxlength: 500 }), "Kept in the history."),
				progress,
			];
		},
		act: form =>
			runAll(path, withNote(form), form, sum =>
				replace(progress, `${plural(sum.changed, "recipient")} ${done[name]} so far …`),
			),
		command: form => ["POST", path, withNote(form)],
	});

	if (!result) return false;
	say(outcome(name, result), result.changed + result.wished > 0 ? "done" : "failed");
	refreshStatus();
	return true;
}
