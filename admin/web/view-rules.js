// view-rules.js - rules on what messages say of themselves, and failures on demand
import { get, may, patch, post, remove } from "./api.js";
import { ask, choice, complaint, field, valuesOf } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { count, plural } from "./format.js";
import { icon } from "./icons.js";
import { refreshStatus, repeat } from "./live.js";
import { button, head } from "./parts.js";

const FRESH_MS = 5000;

const input = (name, props = {}) =>
	h("input", { name, autocomplete: "off", spellcheck: "false", ...props });
const number = (name, props = {}) =>
	input(name, { type: "number", min: 0, inputmode: "numeric", ...props });

// --- rules ------------------------------------------------------------------------------------------

const ruleActions = [
	["drop", "Drop"],
	["hold", "Hold"],
	["redirect", "Redirect"],
	["tag", "Tag the subject"],
	["deliver", "Deliver"],
];
const ruleSays = {
	deliver: "deliver",
	drop: "drop",
	hold: "hold",
	redirect: "redirect to",
	tag: "tag with",
};

function headerWords(header) {
	const says = {
		present: "is there",
		absent: "is not there",
		exact: `is "${header.value}"`,
		glob: `fits "${header.value}"`,
	};

	return `${header.name} ${says[header.match]}`;
}

function ruleConditions(rule) {
	return [
		rule.sender && `sender ${rule.sender}`,
		rule.recipient && `recipient ${rule.recipient}`,
		rule.client && `client ${rule.client}`,
		rule.user && `user ${rule.user}`,
		rule.listener && `listener ${rule.listener}`,
		rule.scope && `scope ${rule.scope}`,
		rule.min_size !== null && `at least ${rule.min_size} octets`,
		rule.max_size !== null && `at most ${rule.max_size} octets`,
		...(rule.headers || []).map(headerWords),
	].filter(Boolean);
}

function ruleForm(form) {
	const to = field(
		"Redirect to",
		input("redirect_to", { placeholder: "qa@example.com" }),
		"Judged by the whitelist itself.",
	);
	const tag = field("Tag", input("tag", { placeholder: "[staging] ", maxlength: 100 }));
	const over = h(
		"p",
		{},
		h(
			"label",
			{},
			h("input", { type: "checkbox", name: "overrides_whitelist" }),
			" Also what no entry allows (never what one denies)",
		),
	);
	const fit = () => {
		to.hidden = form.action.value !== "redirect";
		tag.hidden = form.action.value !== "tag";
		over.hidden = form.action.value !== "deliver";
	};

	form.addEventListener("input", fit);
	queueMicrotask(fit);
	return [
		h(
			"div.fields",
			{},
			field(
				"Name",
				input("name", {
					required: true,
					maxlength: 63,
					pattern: "[A-Za-z0-9._\\-]+",
					placeholder: "no-newsletters",
				}),
				"It stands beside what it decides.",
			),
			field("Action", choice("action", ruleActions, "drop")),
		),
		to,
		tag,
		over,
		h(
			"fieldset",
			{},
			h("legend", {}, "When all of these hold; an empty one always does"),
			h(
				"div.fields",
				{},
				field("Recipient", input("recipient", { placeholder: "*@example.com" })),
				field("Sender", input("sender", { placeholder: "noreply@shop.example" })),
			),
			h(
				"div.fields",
				{},
				field("Header field", input("header_name", { placeholder: "List-Id" })),
				field(
					"It",
					choice(
						"header_match",
						[
							["glob", "fits"],
							["exact", "is exactly"],
							["present", "is there"],
							["absent", "is not there"],
						],
						"glob",
					),
				),
				field("Value", input("header_value", { placeholder: "*newsletter*" })),
			),
			h(
				"details",
				{},
				h("summary", {}, "More conditions"),
				h(
					"div.fields",
					{},
					field("Client network", input("client", { placeholder: "10.0.0.0/8" })),
					field("User", input("user")),
					field("Listener", input("listener")),
					field("Scope", input("scope")),
				),
				h(
					"div.fields",
					{},
					field("At least, octets", number("min_size")),
					field("At most, octets", number("max_size")),
				),
			),
		),
		field("Note", input("note", { maxlength: 1000 })),
	];
}

function ruleOf(form) {
	const { header_name: name, header_match: match, header_value: value, ...rule } = valuesOf(form);

	for (const key of ["min_size", "max_size"]) if (rule[key]) rule[key] = Number(rule[key]);
	if (form.tag.value !== "" && rule.tag) rule.tag = form.tag.value; // its blanks count
	if (name)
		rule.headers = [
			{ name, match, ...((match === "glob" || match === "exact") && { value: value || "" }) },
		];
	for (const [key, action] of [
		["redirect_to", "redirect"],
		["tag", "tag"],
		["overrides_whitelist", "deliver"],
	])
		if (rule.action !== action) delete rule[key];
	if (rule.overrides_whitelist) rule.overrides_whitelist = true;
	return rule;
}

const rules = {
	path: "/rules",
	word: "Rules",
	one: "rule",
	icon: "rules",
	form: ruleForm,
	read: ruleOf,
	conditions: ruleConditions,
	lead: "What a message says of itself can decide, too: the first rule that fits does. Rules narrow what the whitelist allows, unless one says otherwise.",
	none: "Without rules the whitelist alone decides.",
	says: rule =>
		[
			ruleSays[rule.action],
			rule.redirect_to,
			rule.tag && `"${rule.tag}"`,
			rule.overrides_whitelist && "(also what no entry allows)",
		]
			.filter(Boolean)
			.join(" "),
	count: rule => `decided ${plural(rule.matches, "time")}`,
};

// --- faults ----------------------------------------------------------------------------------------

const faultActions = [
	["reject", "Reject"],
	["bounce", "Accept, then bounce"],
	["defer", "Accept, then put off"],
	["delay", "Answer late"],
	["disconnect", "Cut the connection"],
];
const stages = [
	["rcpt", "at RCPT"],
	["mail", "at MAIL"],
	["data", "at DATA"],
	["end", "after the message"],
];

function faultConditions(fault) {
	return [
		fault.recipient && `recipient ${fault.recipient}`,
		fault.sender && `sender ${fault.sender}`,
		fault.user && `user ${fault.user}`,
		fault.scope && `scope ${fault.scope}`,
		fault.after > 0 && `after ${count(fault.after)} others`,
		fault.every > 1 && `each ${count(fault.every)}th`,
		fault.times > 0 && `${plural(fault.times, "time")} in all`,
	].filter(Boolean);
}

function faultForm(form) {
	const stage = field("Where", choice("stage", stages, "rcpt"));
	const attempts = field(
		"Attempts put off",
		number("attempts", { min: 1, max: 1000, placeholder: "1" }),
	);
	const fit = () => {
		const accepts = ["bounce", "defer"].includes(form.action.value);

		stage.hidden = accepts;
		attempts.hidden = form.action.value !== "defer";
	};

	form.addEventListener("input", fit);
	queueMicrotask(fit);
	return [
		h(
			"div.fields",
			{},
			field(
				"Name",
				input("name", {
					required: true,
					maxlength: 63,
					pattern: "[A-Za-z0-9._\\-]+",
					placeholder: "mailbox-full",
				}),
				"In the log and in the history.",
			),
			field("Action", choice("action", faultActions, "reject")),
			stage,
		),
		h(
			"div.fields",
			{},
			field(
				"Recipient",
				input("recipient", { placeholder: "bounce*@example.com" }),
				"A pattern; empty: any.",
			),
			field("Sender", input("sender")),
		),
		h(
			"div.fields",
			{},
			field("Code", number("code", { min: 400, max: 599, placeholder: "550" })),
			field(
				"Enhanced code",
				input("enhanced", {
					placeholder: "5.2.2",
					pattern: "[245]\\.[0-9]{1,3}\\.[0-9]{1,3}",
				}),
			),
			field("Text", input("text", { maxlength: 250, placeholder: "Mailbox full" })),
		),
		attempts,
		h(
			"details",
			{},
			h("summary", {}, "How often, how late, for whom"),
			h(
				"div.fields",
				{},
				field("Delay, milliseconds", number("delay_ms", { max: 600000 })),
				field("After so many", number("after")),
				field("Each so manieth", number("every", { min: 1 })),
				field("Times in all", number("times")),
			),
			h("div.fields", {}, field("User", input("user")), field("Scope", input("scope"))),
		),
		field("Note", input("note", { maxlength: 1000 })),
	];
}

function faultOf(form) {
	const fault = valuesOf(form);

	for (const key of ["code", "attempts", "delay_ms", "after", "every", "times"])
		if (fault[key] !== undefined) fault[key] = Number(fault[key]);
	if (["bounce", "defer"].includes(fault.action)) delete fault.stage;
	if (fault.action !== "defer") delete fault.attempts;
	return fault;
}

const faultSays = {
	reject: "reject",
	bounce: "accept, then bounce",
	defer: "accept, then put off",
	delay: "answer late",
	disconnect: "cut the connection",
};

const faults = {
	path: "/faults",
	word: "Faults",
	one: "fault",
	icon: "bug",
	form: faultForm,
	read: faultOf,
	conditions: faultConditions,
	lead: "Failures on demand, to see what an application makes of them. They strike only mail that comes in here, and never let anything leave.",
	none: "Nothing fails on purpose.",
	says: fault =>
		[
			faultSays[fault.action],
			!["bounce", "defer"].includes(fault.action) && Object.fromEntries(stages)[fault.stage],
			fault.action === "defer" && plural(fault.attempts, "attempt"),
			fault.code && `${fault.code} ${fault.enhanced || ""} ${fault.text || ""}`.trim(),
			fault.delay_ms > 0 && `after ${fault.delay_ms} ms`,
		]
			.filter(Boolean)
			.join(", "),
	count: fault =>
		`struck ${plural(fault.strikes, "time")} of ${plural(fault.matches, "match", "matches")}`,
};

// --- both -----------------------------------------------------------------------------------------

function rowOf(kind, view, one, index) {
	const conditions = kind.conditions(one);
	const own = one.id === null; // of the configuration, changed there

	return h(
		"li.recipient",
		{ class: one.enabled ? "" : "is-off", "data-key": one.name },
		h(
			"div.recipient-head",
			{},
			h("span.rank.muted", { "aria-hidden": "true" }, `${index + 1}.`),
			h("h2", {}, one.name),
			h(
				"span.chip",
				{ class: one.enabled ? "is-delivered" : "is-cancelled" },
				icon(one.enabled ? "check" : "none"),
				one.enabled ? "On" : "Off",
			),
			own && h("span.chip", {}, "configuration"),
			h("span.spring"),
			may("operator") &&
				!own && [
					button(
						one.enabled ? "Switch off" : "Switch on",
						one.enabled ? "hold" : "play",
						() => view.toggle(one),
						{ class: "small", "data-part": "toggle" },
					),
					button("Remove", "trash", () => view.remove(one), {
						class: "small quiet-danger",
						"data-part": "remove",
						"aria-label": `Remove ${one.name}`,
					}),
				],
		),
		h(
			"p",
			{},
			h("strong", {}, kind.says(one)),
			conditions.length > 0 ? [" when ", conditions.join(" and ")] : " for everything",
		),
		h("p.muted", {}, [kind.count(one), one.note].filter(Boolean).join(" \u2013 ")),
	);
}

function viewOf(kind) {
	return ({ main, signal }) => {
		const list = h("ol.recipients");
		const trouble = h("div");
		let text = "";
		const view = {
			async toggle(one) {
				try {
					await patch(`${kind.path}/${one.id}`, { enabled: !one.enabled });
					say(`${one.name} is switched ${one.enabled ? "off" : "on"}.`);
				} catch (error) {
					say(error.message, "failed");
				}
				view.again();
			},
			async remove(one) {
				if (
					await ask({
						title: `Remove ${one.name}?`,
						action: "Remove",
						danger: true,
						content: () => h("p", {}, `This ${kind.one} is gone then.`),
						act: () => remove(`${kind.path}/${one.id}`),
						command: () => ["DELETE", `${kind.path}/${one.id}`],
					})
				)
					say(`${one.name} is removed.`);
				view.again();
			},
			async add() {
				if (
					await ask({
						title: `Add a ${kind.one}`,
						action: "Add",
						content: kind.form,
						act: form => post(kind.path, kind.read(form)),
						command: form => ["POST", kind.path, kind.read(form)],
					})
				)
					say(`The ${kind.one} is in force.`);
				view.again();
			},
			again() {
				again();
				refreshStatus();
			},
		};

		replace(
			main,
			head(
				kind.word,
				h("span.spring"),
				may("operator") &&
					button(`Add a ${kind.one}`, "plus", () => view.add(), { class: "primary" }),
			),
			h("p.lead", {}, kind.lead),
			trouble,
			list,
		);
		replace(list, h("li.muted", {}, "Loading …"));
		const again = repeat(
			FRESH_MS,
			async () => {
				try {
					const { items } = await get(kind.path, {}, { signal });

					replace(trouble);
					if (text === JSON.stringify(items)) return;
					text = JSON.stringify(items);
					replace(
						list,
						items.length > 0
							? items.map((one, i) => rowOf(kind, view, one, i))
							: h(
									"li.empty",
									{},
									icon(kind.icon),
									h("h2", {}, `No ${kind.one}s`),
									h("p", {}, kind.none),
								),
					);
				} catch (error) {
					if (error.name !== "AbortError") replace(trouble, complaint(error));
				}
			},
			signal,
			[kind.one],
		);
	};
}

export const showRules = viewOf(rules);
export const showFaults = viewOf(faults);
