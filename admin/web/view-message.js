// view-message.js - one message: what became of each recipient and why, what it is, what leaves
import { get, may, remove } from "./api.js";
import { ask, complaint } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { acts, count, isFinal, mailbox, plural, size, states } from "./format.js";
import { icon } from "./icons.js";
import { refreshStatus, repeat } from "./live.js";
import {
	actButtons,
	actOn,
	ago,
	button,
	chip,
	chips,
	copyable,
	facts,
	head,
	reply,
	time,
} from "./parts.js";
import { address, go } from "./router.js";
import { showRaw, showSent } from "./view-bytes.js";
import { hasHtml, hasText, showHtml, showParts, showText } from "./view-content.js";
import { allow } from "./allow.js";

const FRESH_MS = 2000;
const SHOWN = 100;

// --- the story of one recipient ---------------------------------------------------------------

function why(one) {
	const parts = [one.reason || states[one.state]?.says || ""];

	if (one.rule) parts.push(["; by the rule ", h("a", { href: "#/rules" }, one.rule)]);
	return [parts[0] ? parts[0][0].toUpperCase() + parts[0].slice(1) : "", parts[1], "."];
}

function details(one) {
	return facts([
		["Nearest entry", one.nearest],
		[
			"Allowed by",
			one.entry && one.verdict === "deliver"
				? h(
						"a",
						{ href: address("whitelist", "", { entry: one.entry }) },
						`entry ${one.entry}`,
					)
				: null,
		],
		[
			"Decided by",
			one.entry && one.verdict !== "deliver"
				? h(
						"a",
						{ href: address("whitelist", "", { entry: one.entry }) },
						`entry ${one.entry}`,
					)
				: null,
		],
		["List", `revision ${one.revision}`],
		["Instead", one.redirect_to],
		["Why it is here", one.origin],
		["Route", one.route],
		["Attempts", one.attempts > 0 ? count(one.attempts) : null],
		[
			"Next attempt",
			one.next_attempt_at && !isFinal(one.state) ? ago(one.next_attempt_at) : null,
		],
		["Next hop said", reply(one.last_reply)],
		["Wish", one.wish ? `${one.wish} when the attempt is over` : null],
		["NOTIFY", one.notify],
		["ORCPT", one.orcpt],
	]);
}

function moment(item) {
	return h(
		"li",
		{ class: "is-" + (item.state || "none") },
		h("span.moment-mark", { "aria-hidden": "true" }),
		h(
			"div",
			{},
			h(
				"p",
				{},
				h("strong", {}, item.event),
				item.reason ? [" \u2013 ", item.reason] : "",
				" ",
				h("span.muted", {}, time(item.at)),
			),
			(item.remote || item.actor || item.tls) &&
				h(
					"p.muted",
					{},
					[
						item.actor && `by ${item.actor.replace(/^token:/, "")}`,
						item.route && `route ${item.route}`,
						item.remote,
						item.tls,
					]
						.filter(Boolean)
						.join(", "),
				),
			reply(item.reply),
		),
	);
}

function recipient(view, one) {
	const act = name => view.act(name, [one.address]);

	return h(
		"li.recipient",
		{ class: "is-" + one.state, "data-key": one.address },
		h(
			"div.recipient-head",
			{},
			h("h2", {}, one.address),
			chip(one.state),
			h("span.spring"),
			one.state === "dropped" &&
				!one.rule &&
				may("operator") &&
				button("Allow …", "allow", () => view.allow(one), {
					class: "small accent",
					"data-part": "allow",
				}),
			actButtons(one.state, act),
		),
		h("p.why", {}, why(one)),
		details(one),
		h(
			"details",
			{
				"data-part": "story",
				open: view.open.has(one.address),
				on: { toggle: event => view.keepOpen(one.address, event.target.open) },
			},
			h("summary", {}, `History (${one.history.length})`),
			h("ol.story", {}, one.history.map(moment)),
		),
	);
}

function recipientsTab(view, message) {
	const shown = message.recipients.filter(one => !view.only || one.state === view.only);
	const used = Object.keys(states).filter(state => message.states[state]);

	return [
		used.length > 1 &&
			message.recipients.length > 3 &&
			h(
				"div.filters",
				{ role: "group", "aria-label": "Show recipients" },
				["", ...used].map(state =>
					h(
						"button.small",
						{
							type: "button",
							"aria-pressed": String(view.only === state),
							"data-key": "only-" + state,
							on: { click: () => view.show(state) },
						},
						state === ""
							? `All ${message.recipients.length}`
							: `${message.states[state]} ${states[state].word.toLowerCase()}`,
					),
				),
			),
		h(
			"ul.recipients",
			{},
			shown.slice(0, view.limit).map(one => recipient(view, one)),
		),
		shown.length > view.limit &&
			button(
				`Show ${count(Math.min(SHOWN, shown.length - view.limit))} more of ${count(shown.length)}`,
				"dots",
				() => view.showMore(),
				{ "data-key": "more" },
			),
	];
}

// --- the header, decoded ------------------------------------------------------------------------

function headerTab(message) {
	return [
		!message.header_parsed &&
			h(
				"p.note.warning",
				{},
				icon("warn"),
				"The header could not be read as a whole, so the header policy takes no chances with it.",
			),
		message.added_fields.length > 0 &&
			h("p.note", {}, "Added at acceptance (smtp.fixups): ", message.added_fields.join(", ")),
		h(
			"div.scroll",
			{ tabindex: "0", role: "region", "aria-label": "Header fields" },
			h(
				"table.header",
				{},
				h("caption.sr", {}, "Header fields, decoded"),
				h(
					"tbody",
					{},
					message.header.map(one =>
						h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, one.value)),
					),
				),
			),
		),
	];
}

// --- the whole -------------------------------------------------------------------------------------

function about(message) {
	const { client } = message;

	return facts([
		["From", mailbox(message.sender)],
		["Received", time(message.received_at)],
		["Size", size(message.size)],
		["Message-ID", message.message_id && h("code", {}, message.message_id)],
		[
			"Client",
			client.address &&
				[
					client.name ? `${client.name} ` : "",
					client.address,
					client.helo ? ` (${client.helo})` : "",
				].join(""),
		],
		["Logged in as", client.user],
		["TLS", client.tls || (client.address ? "none" : null)],
		[
			"Client certificate",
			client.certificate && (client.certificate.subject || client.certificate.sha256),
		],
		["Protocol", client.protocol],
		["Listener", message.listener],
		["Scope", message.scope],
		["Origin", message.origin],
		["ENVID", message.envid],
		["RET", message.ret],
		[
			"Line ends mended",
			message.bare_cr + message.bare_lf > 0
				? `${plural(message.bare_cr, "bare CR")}, ${plural(message.bare_lf, "bare LF")}`
				: null,
		],
		["Id", copyable(message.id)],
	]);
}

async function askRemove(message) {
	const done = await ask({
		title: "Delete this message?",
		action: "Delete",
		danger: true,
		content: () =>
			h("p", {}, "It and its history are gone for good. What was delivered stays delivered."),
		act: () => remove(`/messages/${message.id}`),
		command: () => ["DELETE", `/messages/${message.id}`],
	});

	if (!done) return;
	say("The message is deleted.");
	refreshStatus();
	go("messages");
}

function toolbar(view, message) {
	const has = name => Object.keys(message.states).some(state => acts[name].from.includes(state));

	return h(
		"div.toolbar",
		{ role: "group", "aria-label": "Actions on the whole message" },
		may("operator") &&
			message.recipients.length > 1 &&
			Object.entries(acts)
				.filter(([name]) => has(name))
				.map(([name, one]) =>
					button(one.all, one.icon, () => view.act(name), { "data-key": "all-" + name }),
				),
		h(
			"a.button",
			{
				href: `api/v1/messages/${message.id}/raw`,
				download: `${message.id}.eml`,
				"data-key": "download",
			},
			icon("down"),
			"Download",
		),
		may("operator") &&
			button("Delete", "trash", () => askRemove(message), {
				class: "quiet-danger",
				"data-key": "delete",
			}),
	);
}

const tabs = [
	{
		name: "recipients",
		word: message => `Recipients (${count(message.recipients.length)})`,
		draw: recipientsTab,
		live: true,
	},
	{
		name: "text",
		word: () => "Text",
		has: hasText,
		draw: (view, message) => showText(message, view.signal),
	},
	{ name: "html", word: () => "HTML", has: hasHtml, draw: (view, message) => showHtml(message) },
	{
		name: "parts",
		word: message =>
			message.content.attachments.length > 0
				? `Parts (${plural(message.content.attachments.length, "attachment")})`
				: "Parts",
		draw: (view, message) => showParts(message, view.signal),
	},
	{ name: "header", word: () => "Header", draw: (view, message) => headerTab(message) },
	{ name: "raw", word: () => "Raw", draw: (view, message) => showRaw(message, view.signal) },
	{
		name: "sent",
		word: () => "As sent",
		draw: (view, message) => showSent(message, view.signal),
	},
];

class MessageView {
	constructor({ main, id, params, signal }) {
		Object.assign(this, {
			main,
			id,
			signal,
			only: "",
			limit: SHOWN,
			open: new Set(),
			message: null,
		});
		this.tab = tabs.find(one => one.name === params.tab) || tabs[0];
		this.top = h("div");
		this.bar = h("div.tablist", {
			role: "tablist",
			"aria-label": "Parts of the message",
			on: { keydown: event => this.onKey(event) },
		});
		this.panel = h("div.panel", { role: "tabpanel", id: "panel", tabindex: "0" });
	}

	keepOpen(name, open) {
		if (open) this.open.add(name);
		else this.open.delete(name);
	}

	show(state) {
		this.only = state;
		this.limit = SHOWN;
		this.drawPanel();
	}

	showMore() {
		this.limit += SHOWN;
		this.drawPanel();
	}

	async act(name, recipients) {
		if (await actOn(name, this.id, recipients)) this.again();
	}

	async allow(one) {
		if (await allow({ pattern: one.address, message: this.id, scope: this.message.scope }))
			this.again();
	}

	async load() {
		const message = await get(`/messages/${this.id}`, {}, { signal: this.signal });
		const first = this.message === null;
		const text = JSON.stringify(message);

		// A dialog or a selection is not to be disturbed by what did not change.
		if (text === this.text) return;
		this.text = text;
		this.message = message;
		if (first && message.recipients.length <= 3)
			message.recipients.forEach(one => this.open.add(one.address));
		this.drawTop();
		if (first || this.tab.live) this.drawPanel();
	}

	drawTop() {
		const { message } = this;

		document.title = `${message.subject || "(no subject)"} - Stagepost`;
		replace(
			this.top,
			h("a.back", { href: "#/messages", "data-key": "back" }, "\u2190 Messages"),
			head(message.subject || h("span.muted", {}, "(no subject)")),
			h("p.chips", {}, chips(message.states)),
			about(message),
			toolbar(this, message),
		);
		this.tabs = tabs.filter(tab => !tab.has || tab.has(message));
		if (!this.tabs.includes(this.tab)) [this.tab] = tabs;
		replace(
			this.bar,
			this.tabs.map(tab =>
				h(
					"button",
					{
						type: "button",
						role: "tab",
						id: "tab-" + tab.name,
						"data-key": tab.name,
						"aria-controls": "panel",
						"aria-selected": String(tab === this.tab),
						tabindex: tab === this.tab ? "0" : "-1",
						on: { click: () => this.select(tab) },
					},
					tab.word(message),
				),
			),
		);
	}

	async drawPanel() {
		const { tab } = this;

		this.panel.setAttribute("aria-labelledby", "tab-" + tab.name);
		if (!tab.live) replace(this.panel, h("p.muted", {}, "Loading …"));
		try {
			const nodes = await tab.draw(this, this.message);

			if (tab === this.tab) replace(this.panel, nodes);
		} catch (error) {
			if (error.name !== "AbortError" && tab === this.tab)
				replace(this.panel, complaint(error));
		}
	}

	select(tab) {
		this.tab = tab;
		history.replaceState(
			null,
			"",
			address("messages", this.id, tab === tabs[0] ? {} : { tab: tab.name }),
		);
		this.drawTop();
		this.drawPanel();
	}

	onKey(event) {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];

		if (!step) return;
		event.preventDefault();
		this.select(
			this.tabs[(this.tabs.indexOf(this.tab) + step + this.tabs.length) % this.tabs.length],
		);
		this.bar.querySelector("[aria-selected=true]").focus();
	}

	async start() {
		replace(this.main, h("p.muted", {}, "Loading …"));
		await this.load();
		replace(this.main, this.top, this.bar, this.panel);
		// It may be gone by the next look, or the connection: then what is known stays, and says so.
		this.again = repeat(
			FRESH_MS,
			() => this.load().catch(error => this.gone(error)),
			this.signal,
			event => event.message === this.id || event.type === "lost",
		);
	}

	gone(error) {
		if (error.status === 404)
			replace(
				this.main,
				h("a.back", { href: "#/messages" }, "\u2190 Messages"),
				h("h1", {}, "This message is gone"),
				h("p", {}, "It was deleted, or its time was over."),
			);
		else if (error.name !== "AbortError" && this.tab.live && error.status === 0) this.text = "";
	}
}

export async function showMessage(options) {
	const view = new MessageView(options);

	await view.start();
	return params => {
		const tab = tabs.find(one => one.name === params.tab) || tabs[0];

		if (tab !== view.tab) view.select(tab);
	};
}
