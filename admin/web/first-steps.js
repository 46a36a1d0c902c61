// first-steps.js - for whoever sees a relay that is still empty: what to do next
import { allow } from "./allow.js";
import { may, mayAll } from "./api.js";
import { h, say } from "./dom.js";
import { icon } from "./icons.js";
import { button } from "./parts.js";
import { sendTest } from "./send.js";

async function run(act) {
	try {
		await act();
	} catch (error) {
		say(error.message, "failed");
	}
}

function step(number, done, word, ...rest) {
	return h(
		"li",
		{ class: done ? "is-done" : "" },
		h("span.step-number", { "aria-hidden": "true" }, done ? icon("check") : number),
		h("div", {}, h("strong", {}, word), done && h("span.sr", {}, " (done)"), h("p", {}, rest)),
	);
}

function allowing(now) {
	return step(
		1,
		now.whitelist.entries > 0,
		"Say who may get mail",
		"Everybody else's mail is kept here, with the reason. ",
		may("operator") &&
			button("Add an entry", "plus", () => run(allow), {
				class: "small accent",
				"data-key": "first-entry",
			}),
	);
}

function sending(now) {
	const [smtp] = now.listeners;

	return step(
		2,
		now.queue.messages > 0,
		"Send a mail",
		smtp ? ["Point an application at SMTP ", h("code", {}, smtp), ", or try it here. "] : "",
		may("operator") &&
			button("Send a test mail", "arrow", () => run(sendTest), {
				class: "small accent",
				"data-key": "first-mail",
			}),
	);
}

// Nothing, where somebody has been at work already.
export function firstSteps(now) {
	if ((now.whitelist.entries > 0 && now.queue.messages > 0) || !mayAll()) return null;
	return h(
		"section.card",
		{ "aria-labelledby": "first" },
		h("h2", { id: "first" }, "First steps"),
		h(
			"ol.steps",
			{},
			allowing(now),
			sending(now),
			step(
				3,
				false,
				"See what became of it",
				"Each recipient has its story under ",
				h("a", { href: "#/messages" }, "Messages"),
				"; who was dropped is allowed and released there.",
			),
		),
	);
}
