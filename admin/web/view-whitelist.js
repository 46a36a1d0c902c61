// view-whitelist.js - who may get mail: the list, what an entry would mean, many at once, what became of it
import { allow, lintNotes, tryAddress } from "./allow.js";
import { get, may, patch, post, remove, request } from "./api.js";
import { afterTyping, ask, choice, complaint, field } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { count, plural, relative } from "./format.js";
import { icon } from "./icons.js";
import { List } from "./list.js";
import { refreshStatus } from "./live.js";
import { ago, button, head, menu, time } from "./parts.js";
import { address, amend } from "./router.js";

const PAGE = 100;
const ROW_HEIGHT = 58;

// --- one entry ---------------------------------------------------------------------------------

function endOf(entry) {
	if (entry.expired_at)
		return h("span.chip.is-expired", {}, icon("glass"), `Ended ${relative(entry.expired_at)}`);
	return (
		entry.expires_at &&
		h(
			"span.chip.is-deferred",
			{ title: entry.expires_at },
			icon("clock"),
			`Ends ${relative(entry.expires_at)}`,
		)
	);
}

const kinds = {
	exact: "one address",
	domain: "a domain",
	subdomain: "sub-domains",
	glob: "a pattern",
	all: "everything",
};

function row(view, entry) {
	const denies = entry.action === "deny";

	return h(
		"div.entry-row",
		{ tabindex: "-1", class: entry.expired_at ? "is-over" : "" },
		h(
			"span.entry-pattern",
			{},
			h(
				"span.chip",
				{ class: denies ? "is-failed" : "is-delivered" },
				icon(denies ? "ban" : "check"),
				denies ? "Deny" : "Allow",
			),
			h("strong", {}, entry.pattern),
			h("span.muted.wide", {}, kinds[entry.kind]),
			entry.scope && h("span.chip", {}, entry.scope),
			endOf(entry),
		),
		h(
			"span.entry-more.muted",
			{},
			[entry.note, entry.owner && `owner ${entry.owner}`].filter(Boolean).join(" \u2013 ") ||
				h("span", {}, "no note"),
			h(
				"span.entry-hits",
				{},
				entry.hits === 0
					? ", never used"
					: [`, ${plural(entry.hits, "recipient")}, last `, ago(entry.last_hit_at)],
			),
		),
		h(
			"span.entry-acts",
			{},
			may("operator") && [
				button("Edit", "pencil", () => view.edit(entry), {
					class: "small",
					"data-part": "edit",
					"aria-label": `Edit ${entry.pattern}`,
				}),
				button("Remove", "trash", () => view.remove(entry), {
					class: "small quiet-danger",
					"data-part": "remove",
					"aria-label": `Remove ${entry.pattern}`,
				}),
			],
		),
	);
}

async function edit(entry) {
	// With its tag: who changed it meanwhile is not overwritten.
	const response = await request("GET", `/whitelist/${entry.id}`);
	const headers = { "If-Match": response.headers.get("ETag") };
	const now = await response.json();
	const changes = form => {
		const body = {
			note: form.note.value.trim() || null,
			owner: form.owner.value.trim() || null,
		};

		if (form.ends.value === "never") body.expires_at = null;
		else if (form.ends.value !== "") body.expires_in = form.ends.value;
		return body;
	};

	return ask({
		title: now.pattern,
		action: "Save",
		content: () => [
			h(
				"p.muted",
				{},
				`Added ${now.created_by ? `by ${now.created_by.replace(/^token:/, "")}, ` : ""}`,
				ago(now.created_at),
				". ",
				h(
					"a",
					{
						href: address("whitelist", "history", { entry: now.id }),
						on: { click: event => event.target.closest("dialog").close() },
					},
					"What became of it",
				),
			),
			field("Note", h("input", { name: "note", maxlength: 1000, value: now.note || "" })),
			field("Owner", h("input", { name: "owner", maxlength: 200, value: now.owner || "" })),
			field(
				"Ends",
				choice(
					"ends",
					[
						[
							"",
							now.expires_at
								? `As it is: ${relative(now.expires_at)}`
								: "Never, as it is",
						],
						["1h", "In an hour"],
						["1d", "Tomorrow"],
						["7d", "In a week"],
						["30d", "In 30 days"],
						["never", "Never"],
					],
					"",
				),
			),
		],
		act: async form => {
			const changed = await patch(`/whitelist/${now.id}`, changes(form), { headers });

			say(`${changed.pattern} is changed.`);
			return changed;
		},
		command: form => ["PATCH", `/whitelist/${now.id}`, changes(form)],
	});
}

async function askRemove(entry) {
	return ask({
		title: `Remove ${entry.pattern}?`,
		action: "Remove",
		danger: entry.action === "allow",
		content: () =>
			h(
				"p",
				{},
				entry.action === "allow"
					? "Mail for it that is queued already stops as well."
					: "It is denied no longer: what other entries allow may leave.",
			),
		act: async () => {
			const answer = await remove(`/whitelist/${entry.id}`);

			say(
				`${entry.pattern} is removed.${answer?.in_flight ? ` ${plural(answer.in_flight, "recipient")} in flight: those that are not offered yet are not.` : ""}`,
			);
			return true;
		},
		command: () => ["DELETE", `/whitelist/${entry.id}`],
	});
}

// --- many at once ----------------------------------------------------------------------------------

const formats = [
	["text", "Text, one pattern a line"],
	["csv", "CSV"],
	["json", "JSON"],
	["maildev", "MailDev rules"],
	["mailpit", "Mailpit relay file"],
];
const byName = { csv: "csv", json: "json", yaml: "mailpit", yml: "mailpit", txt: "text" };

function importPath(form, dryRun) {
	return `/whitelist/import?format=${form.format.value}&mode=${form.mode.value}${dryRun ? "&dry_run=true" : ""}`;
}

const importType = form =>
	form.format.value === "json" ? "application/json" : "application/octet-stream";

function importSays(result) {
	return [
		`${plural(result.entries, "entry", "entries")}: `,
		[
			["added", "new"],
			["changed", "changed"],
			["unchanged", "there already"],
			["repeated", "repeated"],
			["expired", "over already"],
		]
			.filter(([name]) => result[name] > 0)
			.map(([name, word]) => `${count(result[name])} ${word}`)
			.join(", "),
	];
}

async function importEntries() {
	const place = h("div.trial", { role: "status", "aria-live": "polite" });
	const text = h("textarea", {
		name: "text",
		rows: 8,
		required: true,
		spellcheck: "false",
		autocomplete: "off",
		placeholder: "alice@example.com\nqa-*@example.com   # our testers",
	});
	const fileInput = h("input", {
		type: "file",
		accept: ".txt,.csv,.json,.yaml,.yml,text/*,application/json",
	});

	return ask({
		title: "Import entries",
		action: "Import",
		content: form => {
			const run = afterTyping(async isLatest => {
				if (text.value.trim() === "") {
					replace(place);
					return;
				}
				try {
					const result = await post(importPath(form, true), text.value, {
						type: importType(form),
					});

					if (isLatest())
						replace(place, h("p", {}, importSays(result), "."), lintNotes(result.lint));
				} catch (error) {
					if (isLatest()) replace(place, complaint(error));
				}
			}, 400);

			fileInput.addEventListener("change", async () => {
				const [file] = fileInput.files;

				text.value = await file.text();
				form.format.value =
					byName[file.name.split(".").pop().toLowerCase()] || form.format.value;
				run();
			});
			form.addEventListener("input", run);
			return [
				field("File", fileInput),
				field("Or text", text),
				h(
					"div.fields",
					{},
					field("Format", choice("format", formats, "text")),
					field(
						"Entries that are there",
						choice(
							"mode",
							[
								["add", "stay as they are"],
								["update", "take note, owner and end"],
							],
							"add",
						),
					),
				),
				place,
			];
		},
		act: async form => {
			const result = await post(importPath(form, false), text.value, {
				type: importType(form),
			});

			say(
				`${plural(result.added, "entry", "entries")} added, ${count(result.changed)} changed.`,
			);
			return result;
		},
	});
}

function exports() {
	const link = ([format, end]) =>
		h(
			"a",
			{ href: `api/v1/whitelist/export?format=${format}`, download: `whitelist.${end}` },
			format.toUpperCase(),
		);

	return menu(
		"Export",
		"down",
		[
			["text", "txt"],
			["csv", "csv"],
			["json", "json"],
		].map(link),
	);
}

// --- the list -----------------------------------------------------------------------------------------

class WhitelistView {
	constructor({ main, params, signal }) {
		Object.assign(this, { main, signal, list: null });
		this.place = h("div.list-place");
		this.values = { q: params.q || "", action: params.action || "" };
		signal.addEventListener("abort", () => this.list?.close());
	}

	async change(act) {
		try {
			if (await act()) this.show();
		} catch (error) {
			say(error.message, "failed");
		}
		refreshStatus();
	}

	edit(entry) {
		return this.change(() => edit(entry));
	}

	remove(entry) {
		return this.change(() => askRemove(entry));
	}

	show() {
		const { values } = this;

		this.list?.close();
		this.list = new List({
			label: "Entries of the whitelist",
			rowHeight: ROW_HEIGHT,
			row: entry => row(this, entry),
			empty: () => this.empty(),
			types: ["whitelist"],
			fetchPage: (after, signal) =>
				get("/whitelist", { ...values, limit: PAGE, after }, { signal }),
		});
		replace(this.place, this.list.node);
	}

	empty() {
		if (this.values.q || this.values.action)
			return [h("h2", {}, "Nothing fits"), h("p", {}, "No entry has this in its pattern.")];
		return [
			icon("shield"),
			h("h2", {}, "The list is empty"),
			h(
				"p",
				{},
				"Nothing can leave. Mail is accepted and kept, and can be released once an entry allows it.",
			),
			may("operator") &&
				button("Add the first entry", "plus", () => this.change(allow), {
					class: "primary",
				}),
		];
	}

	filters() {
		const q = h("input", {
			type: "search",
			name: "q",
			"aria-label": "Pattern contains",
			placeholder: "Pattern",
			value: this.values.q,
			autocomplete: "off",
			spellcheck: "false",
		});
		const action = choice(
			"action",
			[
				["", "Allow and deny"],
				["allow", "Allow"],
				["deny", "Deny"],
			],
			this.values.action,
		);

		action.setAttribute("aria-label", "Action");
		return h(
			"form.filters",
			{
				role: "search",
				on: {
					submit: event => event.preventDefault(),
					input: afterTyping(async () => {
						this.values = { q: q.value.trim(), action: action.value };
						amend("whitelist", this.values);
						this.show();
					}),
				},
			},
			q,
			action,
		);
	}

	start() {
		this.main.classList.add("fills");
		replace(
			this.main,
			head(
				"Whitelist",
				h("a.button", { href: address("whitelist", "history") }, icon("clock"), "History"),
				exports(),
				h("span.spring"),
				may("operator") && button("Import …", "list", () => this.change(importEntries)),
				may("operator") &&
					button("Add an entry", "plus", () => this.change(() => allow({ scope: "" })), {
						class: "primary",
					}),
			),
			tryAddress().node,
			this.filters(),
			this.place,
		);
		this.show();
	}
}

async function showOne(entry) {
	try {
		return await get(`/whitelist/${entry}`);
	} catch (error) {
		return { error };
	}
}

export async function showWhitelist(options) {
	const view = new WhitelistView(options);

	view.start();
	if (!options.params.entry) return;
	const entry = await showOne(options.params.entry);

	if (entry.error)
		say(entry.error.status === 404 ? "That entry is gone." : entry.error.message, "failed");
	else if (may("operator")) view.edit(entry);
}

// --- what became of the list ----------------------------------------------------------------------------

const told = { add: "added", replace: "changed", remove: "removed", expire: "ended" };

function differences(past) {
	if (past.action !== "replace" || !past.before || !past.after)
		return [
			past.after?.note || past.before?.note,
			past.after?.owner && `owner ${past.after.owner}`,
			past.after?.expires_at && `ends ${past.after.expires_at}`,
		]
			.filter(Boolean)
			.join(", ");
	return ["pattern", "action", "scope", "note", "owner", "expires_at"]
		.filter(name => past.before[name] !== past.after[name])
		.map(
			name =>
				`${name.replace("_at", "")}: ${past.before[name] || "none"} \u2192 ${past.after[name] || "none"}`,
		)
		.join("; ");
}

function pastRow(past) {
	return h(
		"tr",
		{},
		h("td", {}, time(past.at)),
		h("td", {}, past.actor ? past.actor.replace(/^token:/, "") : "the relay"),
		h(
			"td",
			{},
			h("strong", {}, past.pattern),
			" ",
			told[past.action] || past.action,
			(past.after || past.before)?.action === "deny" ? " (deny)" : "",
		),
		h("td", {}, differences(past)),
		h("td.num", {}, past.revision ?? ""),
	);
}

export async function showHistory({ main, params, signal }) {
	const body = h("tbody");
	const note = h("div.list-note");
	let rows = [];
	let next;

	async function more() {
		const page = await get(
			"/whitelist/history",
			{ entry: params.entry, limit: PAGE, after: next },
			{ signal },
		);

		rows = [...rows, ...page.items];
		({ next } = page);
		replace(body, rows.map(pastRow));
		replace(
			note,
			rows.length === 0 && h("div.empty", {}, h("h2", {}, "Nothing happened yet")),
			next && button("Older", "dots", more),
		);
	}
	replace(
		main,
		h("a.back", { href: "#/whitelist" }, "\u2190 Whitelist"),
		head(params.entry ? "History of an entry" : "History of the whitelist"),
		h(
			"div.card.scroll",
			{ tabindex: "0", role: "region", "aria-label": "History" },
			h(
				"table",
				{},
				h(
					"thead",
					{},
					h(
						"tr",
						{},
						["When", "Who", "What", "Details", "Revision"].map(word =>
							h(
								"th",
								{ scope: "col", class: word === "Revision" ? "num" : "" },
								word,
							),
						),
					),
				),
				body,
			),
		),
		note,
	);
	await more();
}
