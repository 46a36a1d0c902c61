// view-login.js - a token, once
import { logIn } from "./api.js";
import { complaint, field } from "./dialog.js";
import { h, replace } from "./dom.js";

// Over plain HTTP browsers keep the session's cookie for this machine's own name only.
function warning() {
	if (window.isSecureContext) return null;
	return h(
		"div.note.warning",
		{},
		h(
			"p",
			{},
			h("strong", {}, "This address is plain HTTP to another machine. "),
			"Browsers keep no session there, and the token would be sent in the clear. Use TLS ",
			"(admin.tls_certificate and admin.tls_key, or a proxy), or a tunnel:",
		),
		h("pre", {}, "ssh -L 8025:127.0.0.1:8025 " + location.hostname),
	);
}

export function showLogIn(app, why, entered) {
	const trouble = h("div");
	const token = h("input", {
		name: "token",
		type: "password",
		autocomplete: "current-password",
		required: true,
		spellcheck: "false",
		autofocus: true,
	});
	const submit = h("button.primary", { type: "submit" }, "Log in");
	const form = h(
		"form",
		{ on: { submit: run } },
		field("Token", token, "It begins with stp_."),
		trouble,
		submit,
	);

	async function run(event) {
		event.preventDefault();
		submit.disabled = true;
		replace(trouble);
		try {
			await logIn(token.value.trim());
			entered();
		} catch (error) {
			replace(trouble, complaint(error));
			submit.disabled = false;
			token.select();
		}
	}
	replace(
		app,
		h(
			"main.login",
			{},
			h(
				"h1",
				{},
				h("img", { src: "web/icon.svg", alt: "", width: 32, height: 32 }),
				"Stagepost",
			),
			h(
				"div.card",
				{},
				why && h("p.note", { role: "status" }, why),
				warning(),
				form,
				h(
					"details",
					{},
					h("summary", {}, "Where is my token?"),
					h(
						"p",
						{},
						"The first start wrote one of the role admin to ",
						h("code", {}, "admin.token"),
						" in the data ",
						"directory. Whoever has that one can make others, one for each person or program: ",
						h("code", {}, "POST /api/v1/tokens"),
						".",
					),
				),
			),
		),
	);
	token.focus();
}
