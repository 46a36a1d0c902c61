// view-dropped.js - who would have got mail: grouped by address, with the way to let it go
import { allow } from "./allow.js";
import { get, may } from "./api.js";
import { bulk } from "./bulk.js";
import { afterTyping, complaint } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { count, mailbox, plural } from "./format.js";
import { icon } from "./icons.js";
import { repeat } from "./live.js";
import { ago, button, chip, head, time } from "./parts.js";
import { address, amend } from "./router.js";

const PAGE = 500;
const FRESH_MS = 5000;
const GROUPS_SHOWN = 100;
const ROWS_SHOWN = 5;

// --- the groups ------------------------------------------------------------------------------------

function groupsOf(rows) {
	const groups = new Map();

	for (const row of rows) {
		const key = row.address.toLowerCase();
		const group = groups.get(key) || { address: row.address, rows: [] };

		group.rows.push(row);
		groups.set(key, group);
	}
	return [...groups.values()];
}

function rowLine(row) {
	return h(
		"li",
		{},
		h("a", { href: address("messages", row.message) }, time(row.received_at)),
		" from ",
		mailbox(row.sender),
	);
}

function groupNode(view, group) {
	const [latest] = group.rows;
	const rule = group.rows.find(row => row.rule)?.rule;

	return h(
		"li.recipient.is-dropped",
		{ "data-key": group.address },
		h(
			"div.recipient-head",
			{},
			h("h2", {}, group.address),
			chip("dropped", plural(group.rows.length, "message")),
			h("span.spring"),
			may("operator") &&
				button("Allow this recipient …", "allow", () => view.allow(group), {
					class: "small accent",
					"data-part": "allow",
				}),
			may("operator") &&
				button("Release …", "play", () => view.releaseGroup(group), {
					class: "small",
					"data-part": "release",
				}),
		),
		h(
			"p.why",
			{},
			latest.reason ? latest.reason[0].toUpperCase() + latest.reason.slice(1) : "",
			rule ? ` (rule ${rule})` : "",
			".",
			latest.nearest && h("span.muted", {}, ` The nearest entry is ${latest.nearest}.`),
			h("span.muted", {}, " Last ", ago(latest.received_at), "."),
		),
		h(
			"details",
			{
				"data-part": "rows",
				open: view.open.has(group.address),
				on: { toggle: event => view.keepOpen(group.address, event.target.open) },
			},
			h("summary", {}, "Messages"),
			h("ul.plain", {}, group.rows.slice(0, ROWS_SHOWN).map(rowLine)),
			group.rows.length > ROWS_SHOWN &&
				h(
					"p",
					{},
					h(
						"a",
						{ href: address("messages", "", { to: group.address, state: "dropped" }) },
						"All of them",
					),
				),
		),
	);
}

class DroppedView {
	constructor({ main, params, signal }) {
		Object.assign(this, {
			main,
			signal,
			open: new Set(),
			rows: [],
			next: null,
			known: false,
			shown: GROUPS_SHOWN,
			pages: 1,
		});
		this.filter = params.address || "";
		this.trouble = h("div");
		this.list = h("ul.recipients");
		this.note = h("div.list-note");
	}

	keepOpen(name, open) {
		if (open) this.open.add(name);
		else this.open.delete(name);
	}

	async load() {
		const rows = [];
		let after = null;

		for (let i = 0; i < this.pages; i++) {
			const page = await get(
				"/recipients",
				{ state: "dropped", address: this.filter, limit: PAGE, after },
				{ signal: this.signal },
			);

			rows.push(...page.items);
			after = page.next;
			if (after === null) break;
		}
		const text = JSON.stringify(rows.map(row => [row.message, row.address]));

		replace(this.trouble);
		if (this.known && text === this.text) return;
		Object.assign(this, { rows, next: after, text, known: true });
		this.draw();
	}

	draw() {
		const groups = groupsOf(this.rows);

		replace(
			this.list,
			groups.slice(0, this.shown).map(group => groupNode(this, group)),
		);
		replace(this.note, groups.length === 0 ? this.empty() : this.more(groups));
	}

	empty() {
		return h(
			"div.empty",
			{},
			icon("check"),
			h("h2", {}, this.filter ? "Nothing fits" : "Nothing was dropped"),
			h(
				"p",
				{},
				this.filter
					? "No dropped recipient has this in its address."
					: "Recipients that no entry allows are kept here, with the reason.",
			),
		);
	}

	more(groups) {
		return [
			h(
				"p.muted",
				{},
				`${plural(groups.length, "address", "addresses")} in the newest ${count(this.rows.length)} dropped recipients${this.next ? "" : ", which are all"}.`,
			),
			groups.length > this.shown &&
				button(
					"Show more addresses",
					"dots",
					() => {
						this.shown += GROUPS_SHOWN;
						this.draw();
					},
					{ "data-key": "more" },
				),
			groups.length <= this.shown &&
				this.next &&
				button(
					"Look further back",
					"dots",
					() => {
						this.pages++;
						this.again();
					},
					{ "data-key": "back" },
				),
		];
	}

	async allow(group) {
		if (await allow({ pattern: group.address, release: "1d" })) this.again();
	}

	async release(address, title) {
		try {
			if (await bulk("release", { state: "dropped", address }, title)) this.again();
		} catch (error) {
			say(error.message, "failed");
		}
	}

	releaseGroup(group) {
		return this.release(group.address, `Release what was dropped for ${group.address}`);
	}

	releaseShown() {
		const title = this.filter
			? `Release what fits "${this.filter}"`
			: "Release everything that is allowed by now";

		return this.release(this.filter || undefined, title);
	}

	start() {
		const input = h("input", {
			type: "search",
			"aria-label": "Address contains",
			placeholder: "Address",
			value: this.filter,
			autocomplete: "off",
			spellcheck: "false",
		});

		input.addEventListener(
			"input",
			afterTyping(async () => {
				Object.assign(this, {
					filter: input.value.trim(),
					pages: 1,
					shown: GROUPS_SHOWN,
					known: false,
				});
				amend("dropped", { address: this.filter });
				this.again();
			}),
		);
		replace(
			this.main,
			head(
				"Dropped",
				h("span.spring"),
				may("operator") &&
					button("Release what is allowed by now …", "play", () => this.releaseShown(), {
						"data-key": "release-all",
					}),
			),
			h(
				"p.lead",
				{},
				"Recipients that were not delivered to, because the whitelist, a rule or the policy said so. The messages are kept.",
			),
			h(
				"form.filters",
				{ role: "search", on: { submit: event => event.preventDefault() } },
				input,
			),
			this.trouble,
			this.list,
			this.note,
		);
		replace(this.note, h("p.muted", {}, "Loading …"));
		this.again = repeat(
			FRESH_MS,
			() =>
				this.load().catch(error => {
					if (error.name !== "AbortError") replace(this.trouble, complaint(error));
				}),
			this.signal,
		);
	}
}

export function showDropped(options) {
	new DroppedView(options).start();
}
