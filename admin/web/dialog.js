// dialog.js - questions to the person: a form in a dialog, its mistakes, and the same as a command
import { curl } from "./api.js";
import { h, newId, replace, say } from "./dom.js";
import { icon } from "./icons.js";

// What went wrong, with the places that the relay names.
export function complaint(error) {
	const errors = (error.errors || []).filter(one => one.detail !== error.message);

	return h(
		"div.complaint",
		{ role: "alert" },
		icon("warn"),
		h(
			"div",
			{},
			h("p", {}, error.message),
			errors.length > 0 &&
				h(
					"ul",
					{},
					errors
						.slice(0, 20)
						.map(one =>
							h(
								"li",
								{},
								one.line
									? `line ${one.line}${one.column ? `, column ${one.column}` : ""}: `
									: "",
								one.detail,
							),
						),
				),
		),
	);
}

export async function copy(text, said = "Copied.") {
	try {
		await navigator.clipboard.writeText(text);
		say(said);
	} catch {
		say("The browser does not let this page copy.", "failed");
	}
}

// Copies what command() gives when it is pressed: the action as it stands now.
export function curlButton(command) {
	return h(
		"button.quiet",
		{
			type: "button",
			on: { click: () => copy(command(), "The curl command is copied.") },
			title: "Copy this action as a curl command",
		},
		icon("copy"),
		"Copy as curl",
	);
}

/*
 * A modal form. content(body, form) fills it; act(form) does what is asked and may throw a Problem,
 * which is shown; what it gives back is the result. Closed without it: undefined.
 *   {title, content, action, cancel, danger, act, command}
 */
export function ask(options) {
	return new Promise(resolve => {
		const title = newId("dialog");
		const body = h("div.dialog-body");
		const trouble = h("div");
		const submit = h(
			"button",
			{ type: "submit", class: options.danger ? "danger" : "primary" },
			options.action,
		);
		const form = h(
			"form",
			{ on: { submit: run } },
			h("h2", { id: title }, options.title),
			body,
			trouble,
			h(
				"div.dialog-end",
				{},
				options.command && curlButton(() => curl(...options.command(form))),
				h("span.spring"),
				h(
					"button",
					{ type: "button", on: { click: () => dialog.close() } },
					options.cancel || "Cancel",
				),
				submit,
			),
		);
		const dialog = h("dialog", { "aria-labelledby": title, on: { close } }, form);
		let result;

		async function run(event) {
			event.preventDefault();
			submit.disabled = true;
			replace(trouble);
			try {
				result = (await options.act(form)) ?? true;
				dialog.close();
			} catch (error) {
				replace(trouble, complaint(error));
			}
			submit.disabled = false;
		}
		function close() {
			dialog.remove();
			options.closed?.();
			resolve(result);
		}
		replace(body, options.content?.(form, submit));
		document.body.append(dialog);
		dialog.showModal();
		form.querySelector("[autofocus], input, select, textarea")?.focus();
	});
}

export const confirm = options => ask(options);

// A label with its field: field("Note", h("input", {name: "note"}), "shown in the list")
export function field(label, input, hint) {
	const id = input.id || newId("field");
	const hintId = id + "-hint";

	input.id = id;
	if (hint) input.setAttribute("aria-describedby", hintId);
	return h(
		"div.field",
		{},
		h("label", { htmlFor: id }, label),
		input,
		hint && h("p.hint", { id: hintId }, hint),
	);
}

export function choice(name, values, selected) {
	return h(
		"select",
		{ name },
		values.map(([value, word]) => h("option", { value, selected: value === selected }, word)),
	);
}

// The values of a form's fields by name; empty ones are left out.
export function valuesOf(form) {
	const values = {};

	for (const [name, value] of new FormData(form))
		if (typeof value === "string" && value.trim() !== "") values[name] = value.trim();
	return values;
}

// Waits until nobody has typed for a moment; an older answer never overtakes a newer one.
export function afterTyping(f, ms = 250) {
	let timer;
	let round = 0;

	return (...args) => {
		clearTimeout(timer);
		timer = setTimeout(async () => {
			const mine = ++round;

			await f(() => mine === round, ...args);
		}, ms);
	};
}
