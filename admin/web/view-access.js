// view-access.js - for admins: who may ask, who changed what, and how the relay is set
import { get, me, post, remove } from "./api.js";
import { readText } from "./bytes.js";
import { ask, choice, complaint, field, valuesOf } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { icon } from "./icons.js";
import { ago, button, copyable, head, time } from "./parts.js";

const PAGE = 100;

// --- tokens -----------------------------------------------------------------------------------

const roles = [
	["reader", "Reader: looks"],
	["operator", "Operator: also changes lists, rules and the queue"],
	["admin", "Admin: also makes tokens"],
];
const ends = [
	["", "Never"],
	["1d", "Tomorrow"],
	["7d", "In a week"],
	["30d", "In 30 days"],
	["365d", "In a year"],
];

// The only time that the secret is shown.
async function showSecret(made) {
	await ask({
		title: `The token ${made.name}`,
		action: "Done",
		content: () => [
			h("p", {}, "This is shown once; the relay keeps only its hash."),
			h("p", {}, copyable(made.secret)),
		],
		act: () => true,
	});
}

async function makeToken() {
	const made = await ask({
		title: "Make a token",
		action: "Make",
		content: () => [
			field(
				"Name",
				h("input", {
					name: "name",
					required: true,
					maxlength: 64,
					pattern: "[A-Za-z0-9._\\-]+",
					autocomplete: "off",
					placeholder: "ci",
				}),
				"It stands in the audit trail.",
			),
			field("Role", choice("role", roles, "reader")),
			h(
				"div.fields",
				{},
				field("Ends", choice("expires_in", ends, "")),
				field(
					"Scope",
					h("input", {
						name: "scope",
						maxlength: 64,
						pattern: "[A-Za-z0-9._\\-]*",
						autocomplete: "off",
					}),
					"Empty: all mail.",
				),
			),
		],
		act: form => post("/tokens", valuesOf(form)),
		command: form => ["POST", "/tokens", valuesOf(form)],
	});

	if (made) await showSecret(made);
	return made;
}

async function revoke(token) {
	return ask({
		title: `Revoke ${token.name}?`,
		action: "Revoke",
		danger: true,
		content: () =>
			h(
				"p",
				{},
				"Whoever uses it is refused from now on, and its log-ins are over.",
				me().actor === `token:${token.name}`
					? " It is the one you are logged in with."
					: "",
			),
		act: () => remove(`/tokens/${token.id}`).then(() => true),
		command: () => ["DELETE", `/tokens/${token.id}`],
	});
}

function tokenState(token) {
	if (token.revoked) return h("span.chip.is-cancelled", {}, icon("none"), "Revoked");
	if (token.expires_at && new Date(token.expires_at) <= Date.now())
		return h("span.chip.is-expired", {}, icon("glass"), "Ended");
	return h("span.chip.is-delivered", {}, icon("check"), "In use");
}

function tokenRow(view, token) {
	return h(
		"tr",
		{},
		h("th", { scope: "row" }, token.name),
		h("td", {}, token.role, token.scope && h("span.muted", {}, `, scope ${token.scope}`)),
		h("td", {}, tokenState(token)),
		h(
			"td",
			{},
			ago(token.created_at),
			token.created_by &&
				h("span.muted", {}, ` by ${token.created_by.replace(/^token:/, "")}`),
		),
		h("td", {}, token.expires_at ? ago(token.expires_at) : "never"),
		h("td", {}, token.last_used_at ? ago(token.last_used_at) : h("span.muted", {}, "never")),
		h(
			"td.num",
			{},
			!token.revoked &&
				button("Revoke", "trash", () => view.change(() => revoke(token)), {
					class: "small quiet-danger",
					"aria-label": `Revoke ${token.name}`,
				}),
		),
	);
}

const columns = words =>
	h(
		"thead",
		{},
		h(
			"tr",
			{},
			words.map(word => (word ? h("th", { scope: "col" }, word) : h("td", {}))),
		),
	);

export async function showTokens({ main, signal }) {
	const body = h("tbody");
	const view = {
		async load() {
			const { items } = await get("/tokens", {}, { signal });

			replace(
				body,
				[...items]
					.sort((a, b) => a.revoked - b.revoked || b.id - a.id)
					.map(token => tokenRow(view, token)),
			);
		},
		async change(act) {
			try {
				if (await act()) await view.load();
			} catch (error) {
				if (error.name !== "AbortError") say(error.message, "failed");
			}
		},
	};

	replace(
		main,
		head(
			"Tokens",
			h("span.spring"),
			button("Make a token", "plus", () => view.change(makeToken), { class: "primary" }),
		),
		h("p.lead", {}, "One for each person or program, with no more rights than it needs."),
		h(
			"div.card.scroll",
			{ tabindex: "0", role: "region", "aria-label": "Tokens" },
			h(
				"table",
				{},
				columns(["Name", "Role", "State", "Made", "Ends", "Last used", ""]),
				body,
			),
		),
	);
	await view.load();
}

// --- audit ------------------------------------------------------------------------------------

// What changed, member by member; of what is new or gone, all that it has.
export function changes(before, after) {
	const names = [...new Set([...Object.keys(before || {}), ...Object.keys(after || {})])];
	const word = (value, name) =>
		name?.endsWith("_at") && Number.isInteger(value)
			? value === 0
				? "never"
				: new Date(value).toISOString()
			: value === null || value === undefined || value === ""
				? "none"
				: typeof value === "object"
					? JSON.stringify(value)
					: String(value);

	return names
		.filter(name => word(before?.[name], name) !== word(after?.[name], name))
		.map(name =>
			before && after
				? `${name}: ${word(before[name], name)} \u2192 ${word(after[name], name)}`
				: `${name}: ${word((after || before)[name], name)}`,
		)
		.join("; ");
}

const isObject = value => value !== null && typeof value === "object" && !Array.isArray(value);

function auditRow(row) {
	const known = [row.before, row.after].every(one => one === null || isObject(one));

	return h(
		"tr",
		{},
		h("td", {}, time(row.at)),
		h("td", {}, row.actor.replace(/^token:/, "")),
		h("td", {}, h("strong", {}, row.action), row.subject && ` ${row.subject}`),
		h(
			"td.wide",
			{},
			known ? changes(row.before, row.after) : JSON.stringify(row.after ?? row.before),
		),
	);
}

export async function showAudit({ main, signal }) {
	const body = h("tbody");
	const note = h("div.list-note");
	let rows = [];
	let next;

	async function more() {
		try {
			const page = await get("/audit", { limit: PAGE, after: next }, { signal });

			rows = [...rows, ...page.items];
			({ next } = page);
			replace(body, rows.map(auditRow));
			replace(note, next && button("Older", "dots", more, { "data-key": "older" }));
		} catch (error) {
			if (error.name !== "AbortError") replace(note, complaint(error));
		}
	}
	replace(
		main,
		head("Audit"),
		h("p.lead", {}, "Who changed what, newest first."),
		h(
			"div.card.scroll",
			{ tabindex: "0", role: "region", "aria-label": "Audit" },
			h("table", {}, columns(["When", "Who", "What", "Details"]), body),
		),
		note,
	);
	await more();
}

// --- settings ---------------------------------------------------------------------------------

export async function showSettings({ main, signal }) {
	const { text } = await readText("/settings", signal);

	replace(
		main,
		head("Settings"),
		h(
			"p.lead",
			{},
			"The configuration in force, all keys, with secrets hidden. It is changed in its file; SIGHUP, or ",
			h("code", {}, "systemctl reload"),
			", takes over what can be.",
		),
		h(
			"pre.bytes",
			{ tabindex: "0", role: "region", "aria-label": "Configuration" },
			text.trimEnd(),
		),
	);
}
