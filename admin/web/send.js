// send.js - a test mail, handed in by this page: what becomes of it is said for each recipient
import { get, post } from "./api.js";
import { afterTyping, ask, complaint, field, valuesOf } from "./dialog.js";
import { h, replace } from "./dom.js";
import { count, plural, states } from "./format.js";
import { refreshStatus, status } from "./live.js";
import { chip } from "./parts.js";
import { verdictNode } from "./allow.js";
import { go } from "./router.js";

const SHOWN = 20;

// As far as it can be told before the relay reads them as a header field.
function addresses(text) {
	return text
		.split(/[\s,;<>"]+/)
		.filter(word => word.includes("@"))
		.slice(0, SHOWN);
}

// One for each letter that is sent, however often it has to be sent: the relay keeps it once.
function newKey() {
	return [...crypto.getRandomValues(new Uint8Array(16))]
		.map(byte => byte.toString(16).padStart(2, "0"))
		.join("");
}

const input = (name, props) =>
	h("input", {
		name,
		required: true,
		autocomplete: "off",
		autocapitalize: "off",
		spellcheck: "false",
		...props,
	});

// What would become of the addresses that stand in `to`, while they are typed.
function forecast(to) {
	const place = h("div.trial", { role: "status", "aria-live": "polite" });

	to.addEventListener(
		"input",
		afterTyping(async isLatest => {
			const recipients = addresses(to.value);

			try {
				const result =
					recipients.length > 0 ? await post("/check", { recipients }) : { items: [] };

				if (isLatest()) replace(place, result.items.map(verdictNode));
			} catch (error) {
				if (isLatest()) replace(place, complaint(error));
			}
		}),
	);
	return place;
}

function fields(values) {
	const to = input("to", { placeholder: "alice@example.com, bob@example.com" });

	return [
		field("To", to),
		forecast(to),
		field("From", input("from", { value: values.from })),
		field("Subject", input("subject", { value: values.subject, spellcheck: "true" })),
		field("Text", h("textarea", { name: "text", rows: 5, value: values.text })),
	];
}

function outcome(one) {
	const known = states[one.state] || { says: one.state };
	const reason = one.reason || known.says;

	return h(
		"li",
		{ class: "is-" + one.state, "data-key": one.address },
		h("div.recipient-head", {}, h("strong", {}, one.address), chip(one.state)),
		h("p.why", {}, `${reason[0].toUpperCase()}${reason.slice(1)}.`),
	);
}

const refusal = one => outcome({ ...one, state: "failed", reason: `refused: ${one.reason}` });

// What was made of it; the message itself has the story as it goes on.
async function showOutcome(made) {
	const list = [...made.recipients.map(outcome), ...made.rejected.map(refusal)];

	await ask({
		title: "The relay has it",
		action: "Open the message",
		cancel: "Close",
		content: () => [
			h("p", {}, `It was judged as mail by SMTP is: ${plural(list.length, "recipient")}.`),
			h("ul.outcomes", {}, list.slice(0, SHOWN)),
			list.length > SHOWN &&
				h("p.muted", {}, `and ${count(list.length - SHOWN)} more`),
		],
		act: () => go("messages", made.id),
	});
}

export async function sendTest() {
	const host = (status() || (await get("/status"))).hostname;
	let key = newKey();
	const made = await ask({
		title: "Send a test mail",
		action: "Send",
		content: form => {
			form.addEventListener("input", () => {
				key = newKey();
			});
			return fields({
				from: `Stagepost <test@${host}>`,
				subject: "Test",
				text: "This is a test mail. Stagepost decides who gets it.",
			});
		},
		act: form => post("/messages", valuesOf(form), { headers: { "Idempotency-Key": key } }),
		command: form => ["POST", "/messages", valuesOf(form)],
	});

	if (!made) return;
	refreshStatus();
	await showOutcome(made);
}
