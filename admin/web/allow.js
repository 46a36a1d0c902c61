// allow.js - a new entry of the whitelist: what it would mean is shown while it is typed
import { post } from "./api.js";
import { afterTyping, ask, choice, complaint, field } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { plural } from "./format.js";
import { icon } from "./icons.js";
import { refreshStatus } from "./live.js";

const expiries = [
	["", "Never"],
	["1h", "In an hour"],
	["8h", "In 8 hours"],
	["1d", "Tomorrow"],
	["7d", "In a week"],
	["30d", "In 30 days"],
	["90d", "In 90 days"],
];
const releases = [
	["1h", "Also of the last hour"],
	["1d", "Also of the last day"],
	["7d", "Also of the last week"],
];

// --- what the change would mean ---------------------------------------------------------------------

export function lintNotes(lint) {
	if (!lint) return null;
	return h(
		"div.lint",
		{},
		h("p", {}, lint.summary),
		lint.matches > 1 &&
			lint.examples.length > 0 &&
			h("p.muted", {}, "For example ", lint.examples.slice(0, 5).join(", ")),
		lint.warnings.map(one =>
			h("p.warn-text", { class: "kind-" + one.kind }, icon("warn"), " ", one.text),
		),
	);
}

// The parts of an address that could be meant.
function suggestions(address) {
	const [local, domain] = address.split("@");

	if (!domain) return [];
	const plus = local.indexOf("+");

	return [address, plus > 0 && `${local.slice(0, plus)}+*@${domain}`, domain].filter(Boolean);
}

function entryOf(form) {
	const values = { pattern: form.pattern.value.trim(), action: form.action.value };

	for (const name of ["note", "owner", "scope", "expires_in", "release_dropped_since"])
		if (form.elements[name]?.value.trim()) values[name] = form.elements[name].value.trim();
	if (form.allow_all?.checked) values.allow_all = true;
	if (values.action === "deny") delete values.release_dropped_since;
	return values;
}

// The list's own opinion: the same as adding it, but nothing is added.
function tryEntry(entry) {
	const { release_dropped_since: ignored, ...row } = entry;

	return post("/whitelist/import?format=json&dry_run=true", [row]);
}

function trial(form) {
	const place = h("div.trial", { role: "status", "aria-live": "polite" });
	const run = afterTyping(async isLatest => {
		const entry = entryOf(form);

		if (entry.pattern === "") {
			replace(place);
			return;
		}
		try {
			const result = await tryEntry(entry);

			if (isLatest())
				replace(
					place,
					result.added === 0
						? h("p", {}, "This entry is in the list already.")
						: lintNotes(result.lint),
				);
		} catch (error) {
			// It is one line, and not a text.
			if (isLatest())
				replace(
					place,
					complaint({ message: error.message.replace(/^line 1(, column \d+)?: /, "") }),
				);
		}
	});

	return { place, run };
}

// --- the form ------------------------------------------------------------------------------------

function patternField(values) {
	const input = h("input", {
		name: "pattern",
		required: true,
		autofocus: true,
		autocomplete: "off",
		autocapitalize: "off",
		spellcheck: "false",
		value: values.pattern || "",
		placeholder: "alice@example.com",
	});

	return field(
		"Pattern",
		input,
		"An address, a domain (example.com), its sub-domains (.example.com), or a glob (qa-*@example.com).",
	);
}

function picks(form, values) {
	const list = suggestions(values.pattern || "");

	return (
		list.length > 1 &&
		h(
			"div.picks",
			{ role: "group", "aria-label": "Take instead" },
			list.map(value =>
				h(
					"button.small",
					{
						type: "button",
						on: {
							click: () => {
								form.pattern.value = value;
								form.dispatchEvent(new Event("input", { bubbles: true }));
							},
						},
					},
					value,
				),
			),
		)
	);
}

function everything(form) {
	const box = h(
		"p",
		{ hidden: true },
		h(
			"label",
			{},
			h("input", { type: "checkbox", name: "allow_all" }),
			" Every plain address may get mail. I mean that.",
		),
	);

	form.addEventListener("input", () => {
		box.hidden = form.pattern.value.trim() !== "*" || form.action.value !== "allow";
	});
	return box;
}

function contentOf(form, values) {
	const { place, run } = trial(form);
	const release = field(
		"Dropped mail",
		choice(
			"release_dropped_since",
			[["", values.message ? "Only this message" : "None: from now on"], ...releases],
			values.release || "",
		),
		"What is let go of it.",
	);

	form.addEventListener("input", run);
	form.addEventListener("input", () => {
		release.hidden = form.action.value === "deny";
	});
	queueMicrotask(run);
	return [
		patternField(values),
		picks(form, values),
		place,
		everything(form),
		h(
			"div.fields",
			{},
			field(
				"Action",
				choice(
					"action",
					[
						["allow", "Allow"],
						["deny", "Deny (always wins)"],
					],
					values.action || "allow",
				),
			),
			field("Ends", choice("expires_in", expiries, "")),
			release,
		),
		h(
			"div.fields",
			{},
			field("Note", h("input", { name: "note", maxlength: 1000, value: values.note || "" })),
			field("Owner", h("input", { name: "owner", maxlength: 200 })),
			values.scope !== undefined &&
				field(
					"Scope",
					h("input", {
						name: "scope",
						maxlength: 64,
						value: values.scope,
						pattern: "[A-Za-z0-9._\\-]*",
						autocomplete: "off",
					}),
					"Empty: all mail.",
				),
		),
	];
}

function sayAdded(entry) {
	const parts = [`${entry.pattern} is ${entry.action === "deny" ? "denied" : "allowed"}`];

	if (entry.released)
		parts.push(
			`${plural(entry.released.changed, "recipient")} released${entry.released.more ? ", and there are more" : ""}`,
		);
	say(parts.join("; ") + ".");
}

// Of the message it began with: that one recipient is let go as well, if it was asked for nothing else.
async function releaseOne(values, entry) {
	const judged = await post(`/messages/${values.message}/release`, {
		recipients: [values.pattern],
	});

	say(
		judged.changed > 0
			? `${entry.pattern} is allowed, and the mail is on its way.`
			: judged.detail || `${entry.pattern} is allowed.`,
	);
}

/*
 * Ask for an entry. {pattern, scope} to begin with; with {message} the recipient `pattern` of it is
 * released too. Gives the entry, or undefined.
 */
export async function allow(values = {}) {
	const entry = await ask({
		title: values.message ? `Allow ${values.pattern}` : "Add an entry",
		action: values.message ? "Allow and release" : "Add",
		content: form => contentOf(form, values),
		act: async form => {
			const added = await post("/whitelist", entryOf(form));

			if (values.message && added.action === "allow" && !added.released)
				await releaseOne(values, added);
			else sayAdded(added);
			return added;
		},
		command: form => ["POST", "/whitelist", entryOf(form)],
	});

	refreshStatus();
	return entry;
}

// --- what would happen to an address --------------------------------------------------------------

const verdicts = {
	deliver: ["check", "is-delivered", "would be delivered"],
	drop: ["ban", "is-dropped", "would be dropped"],
	hold: ["hold", "is-held", "would be held"],
	redirect: ["turn", "is-redirected", "would be redirected"],
	reject: ["cross", "is-failed", "would be rejected"],
	invalid: ["cross", "is-failed", "is no address"],
};

export function verdictNode(item) {
	const [name, kind, says] = verdicts[item.verdict] || ["dots", "", item.verdict];

	return h(
		"div.verdict",
		{ class: kind },
		h("span.chip", { class: kind }, icon(name), item.input),
		h(
			"div",
			{},
			h(
				"p",
				{},
				h("strong", {}, `${says[0].toUpperCase()}${says.slice(1)}`),
				`: ${item.reason}`,
				item.rule ? ` (rule ${item.rule})` : "",
				".",
			),
			item.nearest && h("p.muted", {}, `The nearest entry is ${item.nearest}.`),
			item.redirect_to &&
				h(
					"p.muted",
					{},
					`Instead: ${item.redirect_to.address}, which ${item.redirect_to.verdict === "deliver" ? "is allowed" : "is not allowed"}.`,
				),
		),
	);
}

// A field that says, as one types, what would happen to mail for these addresses.
export function tryAddress() {
	const input = h("input", {
		type: "search",
		placeholder: "bob@example.com",
		autocomplete: "off",
		autocapitalize: "off",
		spellcheck: "false",
	});
	const place = h("div.trial", { role: "status", "aria-live": "polite" });
	const run = afterTyping(async isLatest => {
		const recipients = input.value
			.split(/[\s,;]+/)
			.filter(Boolean)
			.slice(0, 20);

		try {
			const result =
				recipients.length > 0 ? await post("/check", { recipients }) : { items: [] };

			if (isLatest()) replace(place, result.items.map(verdictNode));
		} catch (error) {
			if (isLatest()) replace(place, complaint(error));
		}
	}, 150);

	input.addEventListener("input", run);
	return {
		node: h(
			"section.card.try",
			{ "aria-label": "Try an address" },
			field("Would mail for this address leave?", input, "Nothing is sent."),
			place,
		),
		run,
	};
}
