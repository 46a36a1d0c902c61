// bulk-delete.js - remove every message that a filter lets through, after a look at how many those are
import { get, remove } from "./api.js";
import { ask } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { count, plural } from "./format.js";
import { refreshStatus } from "./live.js";

const PAGE = 1000;
const AT_ONCE = 4;
const NAMES_SHOWN = 5;

const found = page =>
	page.next
		? `${count(page.items.length)} or more messages`
		: plural(page.items.length, "message");

function preview(page) {
	if (page.items.length === 0) return h("p", {}, "There is none.");
	return [
		h(
			"p",
			{},
			h("strong", {}, `${found(page)} would be removed`),
			", with all that is known of them:",
		),
		h(
			"ul",
			{},
			page.items.slice(0, NAMES_SHOWN).map(one => h("li", {}, one.subject || "(no subject)")),
			page.items.length > NAMES_SHOWN && h("li.muted", {}, "and others"),
		),
		h(
			"p.muted",
			{},
			"What waits is never delivered then. What is being delivered right now stays, and so does mail that comes in meanwhile.",
		),
	];
}

// What is gone already is what was wanted; what is under way stays.
async function removeOne(id, sum) {
	try {
		await remove(`/messages/${id}`);
		sum.removed++;
	} catch (error) {
		if (error.status === 409) sum.stayed++;
		else if (error.status !== 404) throw error;
	}
}

async function removePage(items, sum, form) {
	const left = items.map(one => one.id);
	const worker = async () => {
		while (left.length > 0 && form.isConnected) await removeOne(left.pop(), sum);
	};

	await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

// The cursor outlives the rows it names. Closing the dialog stops it.
async function removeAll(filter, form, told) {
	const sum = { removed: 0, stayed: 0 };
	let after;

	do {
		const page = await get("/messages", { ...filter, limit: PAGE, after });

		await removePage(page.items, sum, form);
		after = page.next;
		told(sum);
	} while (after && form.isConnected);
	return sum;
}

const outcome = sum =>
	`${plural(sum.removed, "message")} removed` +
	(sum.stayed > 0 ? `, ${count(sum.stayed)} being delivered and not removed.` : ".");

// A page may end before anything was found.
async function firstPage(filter) {
	let page = { items: [], next: undefined };

	do page = await get("/messages", { ...filter, limit: PAGE, after: page.next });
	while (page.items.length === 0 && page.next);
	return page;
}

// `filter`: of GET /messages. True: something was removed.
export async function bulkDelete(filter) {
	const fixed = { ...filter, until: new Date().toISOString() };
	const page = await firstPage(fixed);
	const progress = h("p", { role: "status" });
	const sum = await ask({
		title: "Delete: all messages that fit",
		action: "Delete",
		danger: true,
		content: (_form, submit) => {
			submit.disabled = page.items.length === 0;
			return [preview(page), progress];
		},
		act: form =>
			removeAll(fixed, form, soFar =>
				replace(progress, `${plural(soFar.removed, "message")} removed so far …`),
			),
	});

	refreshStatus();
	if (!sum) return false;
	say(outcome(sum), sum.removed > 0 ? "done" : "failed");
	return sum.removed > 0;
}
