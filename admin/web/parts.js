// parts.js - what several views show: states, times, actions on recipients
import { may, post } from "./api.js";
import { ask, choice, copy, field } from "./dialog.js";
import { h, say } from "./dom.js";
import { acts, count, plural, relative, states, when, whenWhole } from "./format.js";
import { icon } from "./icons.js";
import { refreshStatus } from "./live.js";

export function chip(state, text) {
	const known = states[state] || { word: state, icon: "dots", says: "" };

	return h(
		"span.chip",
		{ class: "is-" + state, title: `${known.word}: ${known.says}` },
		icon(known.icon),
		h("span", {}, text || known.word),
	);
}

// {delivered: 1, dropped: 2} - a chip each, in the order of a life
export function chips(counts) {
	return Object.keys(states)
		.filter(state => counts[state])
		.map(state =>
			chip(state, [
				count(counts[state]),
				h("span.word", {}, ` ${states[state].word.toLowerCase()}`),
			]),
		);
}

export function time(text, how = when) {
	return text ? h("time", { datetime: text, title: whenWhole(text) }, how(text)) : null;
}

export const ago = text => time(text, relative);

export function head(title, ...more) {
	return h("div.head", {}, h("h1", {}, title), more);
}

export function button(word, name, click, props = {}) {
	return h(
		"button",
		{ type: "button", ...props, on: { click } },
		icon(name),
		h("span.word", {}, word),
	);
}

// A button that opens a list of links or buttons; it closes when one looks elsewhere.
export function menu(word, name, items, props = {}) {
	const node = h(
		"details.menu",
		props,
		h("summary.button", {}, icon(name), word),
		h("div.menu-list", {}, items),
	);

	node.addEventListener("focusout", event => {
		if (!node.contains(event.relatedTarget)) node.open = false;
	});
	node.addEventListener("keydown", event => {
		if (event.key !== "Escape") return;
		node.open = false;
		node.firstChild.focus();
	});
	return node;
}

// [["Size", node], …]; what is null is left out.
export function facts(list) {
	return h(
		"dl.facts",
		{},
		list
			.filter(
				([, value]) =>
					value !== null && value !== undefined && value !== false && value !== "",
			)
			.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
	);
}

export function reply(last) {
	if (!last) return null;
	return h(
		"code.reply",
		{},
		`${last.code} ${last.enhanced ? last.enhanced + " " : ""}${last.text || ""}`,
	);
}

export function copyable(text) {
	return h(
		"span.copyable",
		{},
		h("code", {}, text),
		h(
			"button.quiet.small",
			{
				type: "button",
				"aria-label": `Copy ${text}`,
				title: "Copy",
				on: { click: () => copy(text) },
			},
			icon("copy"),
		),
	);
}

// --- acting on recipients ----------------------------------------------------------------------

// What an answer says that is not simply "done".
export function outcome(name, result) {
	const parts = [];
	const done = { retry: "tried now", release: "released", hold: "held", cancel: "cancelled" }[
		name
	];

	if (result.changed > 0 || (!result.wished && !result.refused))
		parts.push(`${plural(result.changed, "recipient")} ${done}`);
	if (result.wished > 0)
		parts.push(
			`${count(result.wished)} in flight: done when the attempt is over, unless it delivers`,
		);
	if (result.refused > 0) parts.push(`${count(result.refused)} refused`);
	if (result.detail) parts.push(result.detail);
	if (result.delivery?.paused && (name === "retry" || name === "release"))
		parts.push("delivery is paused, so nothing leaves yet");
	return parts.join("; ") + ".";
}

// For one message: all recipients, or those given by address.
export async function actOn(name, message, recipients) {
	const path = `/messages/${message}/${name}`;
	const body = recipients ? { recipients } : {};

	return ask({
		title: `${acts[name].word}: ${recipients?.length === 1 ? recipients[0] : recipients ? plural(recipients.length, "recipient") : "all recipients"}`,
		action: acts[name].word,
		danger: name === "cancel",
		content: () => [
			h("p", {}, actSays[name]),
			name === "release" && releaseTo(),
			name !== "retry" &&
				field(
					"Why",
					h("input", { name: "reason", maxlength: 500 }),
					"Kept in the history.",
				),
		],
		act: async form => {
			const result = await post(path, { ...body, ...fieldsOf(form) });

			say(outcome(name, result), result.changed + result.wished > 0 ? "done" : "failed");
			refreshStatus();
			return result;
		},
		command: form => ["POST", path, { ...body, ...fieldsOf(form) }],
	});
}

const actSays = {
	retry: "It is tried at once instead of at its next time.",
	release: "It is judged again by the whitelist in force. What is not allowed stays where it is.",
	hold: "It waits until a person releases it. What is in flight is held when the attempt is over, unless it delivers.",
	cancel: "It is never delivered. What is in flight is stopped when the attempt is over, unless it delivers.",
};

function releaseTo() {
	return field(
		"To another address",
		h("input", {
			name: "to",
			type: "text",
			autocomplete: "off",
			spellcheck: "false",
			placeholder: "qa@example.com",
		}),
		"Optional: one copy goes there instead, if the whitelist allows that address.",
	);
}

function fieldsOf(form) {
	const values = {};

	for (const name of ["reason", "to"])
		if (form.elements[name]?.value.trim()) values[name] = form.elements[name].value.trim();
	return values;
}

// Buttons for what may be done in this state.
export function actButtons(state, act) {
	if (!may("operator")) return [];
	return Object.entries(acts)
		.filter(([, one]) => one.from.includes(state))
		.map(([name, one]) =>
			button(one.word, one.icon, () => act(name), { class: "small", "data-part": name }),
		);
}

export function stateChoice(name, selected) {
	const select = choice(
		name,
		[["", "Any state"], ...Object.entries(states).map(([value, one]) => [value, one.word])],
		selected,
	);

	select.setAttribute("aria-label", "State");
	return select;
}
