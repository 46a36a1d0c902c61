// view-messages.js - everything that came in, newest first, with filters that stand in the address
import { get, may, mayAll } from "./api.js";
import { bulk } from "./bulk.js";
import { bulkDelete } from "./bulk-delete.js";
import { afterTyping } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { acts, mailbox, size } from "./format.js";
import { icon } from "./icons.js";
import { List } from "./list.js";
import { button, chips, head, menu, stateChoice, time } from "./parts.js";
import { address, amend } from "./router.js";
import { sendTest } from "./send.js";

const PAGE = 60;
const NAMES_SHOWN = 3;
const ROW_HEIGHT = 58;
const times = [
	["", "Any time"],
	["1h", "Last hour"],
	["24h", "Last 24 hours"],
	["7d", "Last 7 days"],
];
const filters = ["q", "subject", "to", "from", "state", "since"];

// What a row needs and no more: a list may hold very many.
function compact(message) {
	const { id, received_at, sender, subject, size, states, recipients } = message;

	return {
		id,
		received_at,
		sender,
		subject,
		size,
		states,
		total: recipients.length,
		names: recipients.slice(0, NAMES_SHOWN).map(one => one.address),
	};
}

function row(message) {
	const others = message.total - message.names.length;

	return h(
		"a.mail-row",
		{ href: address("messages", message.id) },
		h(
			"span.mail-subject",
			{ class: message.subject ? "" : "muted" },
			message.subject || "(no subject)",
		),
		h("span.mail-time", {}, time(message.received_at)),
		h(
			"span.mail-names",
			{},
			mailbox(message.sender),
			h("span.sr", {}, " to "),
			h("span.to", { "aria-hidden": "true" }, " \u2192 "),
			message.names.join(", "),
			others > 0 && h("span.muted", {}, ` and ${others} more`),
		),
		h(
			"span.mail-chips",
			{},
			chips(message.states),
			h("span.muted.mail-size", {}, size(message.size)),
		),
	);
}

function sinceOf(value) {
	const hours = { "1h": 1, "24h": 24, "7d": 168 }[value];

	return hours ? new Date(Date.now() - hours * 3600000).toISOString() : undefined;
}

function empty(params) {
	if (filters.some(name => params[name]))
		return [
			h("h2", {}, "Nothing fits"),
			h(
				"p",
				{},
				"No stored message has all of this. ",
				h("a", { href: "#/messages" }, "Show all"),
			),
		];
	return [
		icon("mail"),
		h("h2", {}, "No mail yet"),
		h(
			"p",
			{},
			"Point an application's SMTP settings at this relay. Whatever it sends is listed here, and only what the ",
			h("a", { href: "#/whitelist" }, "whitelist"),
			" allows is delivered.",
		),
	];
}

function filterForm(params, change) {
	const text = (name, label, hint) =>
		h("input", {
			name,
			type: "search",
			"aria-label": label,
			placeholder: hint,
			value: params[name] || "",
			autocomplete: "off",
			spellcheck: "false",
		});
	const form = h(
		"form.filters",
		{
			role: "search",
			"aria-label": "Filter messages",
			on: { submit: event => event.preventDefault() },
		},
		text("q", "Search", "Search: words of the subject, addresses, ids"),
		text("subject", "Subject contains", "Subject"),
		text("to", "Recipient contains", "To"),
		text("from", "Sender contains", "From"),
		stateChoice("state", params.state || ""),
		h(
			"select",
			{ name: "since", "aria-label": "Received" },
			times.map(([value, word]) =>
				h("option", { value, selected: value === (params.since || "") }, word),
			),
		),
	);
	const later = afterTyping(async () => change(read()));

	function read() {
		return Object.fromEntries(
			filters
				.map(name => [name, form.elements[name].value.trim()])
				.filter(([, value]) => value),
		);
	}
	form.addEventListener("input", later);
	return {
		form,
		set: values =>
			filters.forEach(name => {
				form.elements[name].value = values[name] || "";
			}),
	};
}

// What can be done to all that is listed; recipients have these filters by other names.
function actMenu(current, changed) {
	const deleteAll = async event => {
		event.target.closest("details").open = false;
		try {
			if (await bulkDelete({ ...current(), since: sinceOf(current().since) })) changed();
		} catch (error) {
			say(error.message, "failed");
		}
	};
	const act = async (name, event) => {
		const { q, to, from, subject, state, since } = current();
		const filter = { q, address: to, from, subject, state, since: sinceOf(since) };

		event.target.closest("details").open = false;
		try {
			await bulk(name, filter, `${acts[name].word}: all recipients that fit`);
		} catch (error) {
			say(error.message, "failed");
		}
	};

	return menu(
		"All that fit",
		"dots",
		[
			...Object.entries(acts).map(([name, one]) =>
				button(`${one.word} …`, one.icon, event => act(name, event), { class: "quiet" }),
			),
			button("Delete …", "trash", deleteAll, { class: "quiet quiet-danger" }),
		],
		{ class: "menu-right" },
	);
}

async function trySending() {
	try {
		await sendTest();
	} catch (error) {
		say(error.message, "failed");
	}
}

export function showMessages({ main, params, signal }) {
	const place = h("div.list-place");
	let current = params;
	let list = null;

	function show(values) {
		const since = sinceOf(values.since);

		current = values;
		list?.close();
		list = new List({
			label: "Messages",
			rowHeight: ROW_HEIGHT,
			row,
			empty: () => empty(values),
			fetchPage: async (after, pageSignal) => {
				const page = await get(
					"/messages",
					{ ...values, since, include: "recipients", limit: PAGE, after },
					{ signal: pageSignal },
				);

				return { items: page.items.map(compact), next: page.next };
			},
		});
		replace(place, list.node);
	}
	const filter = filterForm(params, values => {
		amend("messages", values);
		show(values);
	});

	signal.addEventListener("abort", () => list?.close());
	main.classList.add("fills");
	replace(
		main,
		head(
			"Messages",
			h("span.spring"),
			may("operator") && button("Send a test mail", "arrow", trySending),
			may("operator") &&
				mayAll() &&
				actMenu(
					() => current,
					() => show(current),
				),
		),
		filter.form,
		place,
	);
	show(params);
	return values => {
		filter.set(values);
		show(values);
	};
}
