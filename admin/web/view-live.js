// view-live.js - what happens, as it happens, newest on top
import { isLive, onEvent, readEvents } from "./events.js";
import { h, replace } from "./dom.js";
import { mailbox, plural, size, states } from "./format.js";
import { icon } from "./icons.js";
import { button, chip, chips, head, reply, time } from "./parts.js";
import { address, amend } from "./router.js";

const KEPT = 500;
const DRAW_MS = 200;

const groups = [
	["", "Everything"],
	["mail", "Mail"],
	["accepted", "Accepted"],
	["verdict", "Verdicts"],
	["attempt", "Attempts"],
	["changes", "Changes by people"],
];
const members = {
	mail: ["accepted", "verdict", "attempt", "state", "deleted"],
	accepted: ["accepted"],
	verdict: ["verdict"],
	attempt: ["attempt"],
	changes: ["whitelist", "rule", "fault", "delivery", "token", "deleted"],
};

// --- an event as a line ------------------------------------------------------------------------

const who = actor => (actor ? h("span.muted", {}, ` by ${actor.replace(/^token:/, "")}`) : null);
const because = reason => (reason ? `: ${reason}` : "");

function acceptedLine(event) {
	return [
		h("span.chip.is-queued", {}, icon("mail"), "Accepted"),
		h(
			"span",
			{},
			h("strong", {}, event.subject || "(no subject)"),
			" from ",
			mailbox(event.sender),
			` to ${plural(event.recipients, "recipient")}, ${size(event.size)} `,
			chips(event.states),
		),
	];
}

function recipientLine(event, word) {
	return [
		event.state && states[event.state]
			? chip(event.state, word)
			: h("span.chip.is-failed", {}, icon("cross"), word),
		h(
			"span",
			{},
			h("strong", {}, event.recipient || ""),
			event.route && ` by ${event.route}`,
			because(event.reason),
			event.rule && ` (rule ${event.rule})`,
			who(event.actor),
			" ",
			reply(event.reply),
		),
	];
}

const changed = (name, text, event) => [
	h("span.chip", {}, icon(name), event.type[0].toUpperCase() + event.type.slice(1)),
	h("span", {}, text, who(event.actor)),
];

const lines = {
	accepted: acceptedLine,
	verdict: event => recipientLine(event, event.verdict),
	attempt: event => recipientLine(event, event.event),
	state: event => recipientLine(event, event.event),
	deleted: event => changed("trash", "a message", event),
	whitelist: event =>
		changed(
			"shield",
			event.pattern
				? `${event.action} ${event.entry_action} ${event.pattern}`
				: plural(event.changes, "change"),
			event,
		),
	rule: event => changed("rules", `${event.action} ${event.name}`, event),
	fault: event => changed("bug", `${event.action} ${event.name}`, event),
	token: event => changed("key", `${event.action} ${event.name}`, event),
	delivery: event =>
		changed(
			"route",
			`${event.action}${event.route ? ` route ${event.route}` : ""}${because(event.reason)}`,
			event,
		),
	lost: event => [
		h("span.chip.is-held", {}, icon("warn"), "Lost"),
		h(
			"span",
			{},
			event.count === null
				? "The relay was started anew."
				: `${plural(event.count, "event")} came faster than they could be told.`,
		),
	],
};

function row(event) {
	const parts = (lines[event.type] || (() => [h("span.chip", {}, event.type), ""]))(event);
	const inside = [h("span.live-time.muted", {}, time(event.at)), ...parts];

	return event.message && event.type !== "deleted"
		? h("a.live-row", { href: address("messages", event.message) }, inside)
		: h("div.live-row", {}, inside);
}

// --- the view ------------------------------------------------------------------------------------

class LiveView {
	constructor({ main, params, signal }) {
		Object.assign(this, {
			main,
			signal,
			events: [],
			seen: new Set(),
			paused: false,
			group: params.show || "",
			timer: null,
		});
		this.list = h("ol.live", { "aria-label": "Events, newest first" });
		this.box = h(
			"div.list-frame",
			{ role: "log", "aria-live": "off", "aria-label": "Events", tabindex: "0" },
			this.list,
		);
		this.note = h("p.muted.hint", { role: "status" });
	}

	// A busy relay tells more than anybody reads: drawn some times a second.
	take(event) {
		if (event.type === "opened" || event.type === "cut" || this.seen.has(event.id)) {
			this.draw();
			return;
		}
		this.seen.add(event.id);
		this.events.unshift(event);
		for (const old of this.events.splice(KEPT)) this.seen.delete(old.id);
		this.timer ??= setTimeout(() => {
			this.timer = null;
			this.draw();
		}, DRAW_MS);
	}

	draw() {
		if (this.paused) return;
		const shown = this.events.filter(
			event =>
				!this.group || event.type === "lost" || members[this.group].includes(event.type),
		);

		replace(
			this.list,
			shown.map(event => h("li", { "data-key": event.id || event.at }, row(event))),
		);
		replace(
			this.note,
			isLive()
				? shown.length === 0
					? "Nothing has happened yet."
					: `The latest ${plural(shown.length, "event")}.`
				: "The stream of events is not there; trying again …",
		);
	}

	pauseButton() {
		const word = this.paused ? "Go on" : "Stand still";

		return button(
			word,
			this.paused ? "play" : "hold",
			() => {
				this.paused = !this.paused;
				replace(this.bar, this.pauseButton());
				this.draw();
			},
			{ "data-key": "pause" },
		);
	}

	filter() {
		const select = h(
			"select",
			{
				"aria-label": "Show",
				on: {
					change: event => {
						this.group = event.target.value;
						amend("live", { show: this.group });
						this.draw();
					},
				},
			},
			groups.map(([value, word]) =>
				h("option", { value, selected: value === this.group }, word),
			),
		);

		return h("div.filters", {}, select);
	}

	async start() {
		this.bar = h("span", {}, this.pauseButton());
		this.main.classList.add("fills");
		replace(
			this.main,
			head("Live", h("span.spring"), this.bar),
			this.filter(),
			h("div.list-place", {}, this.box),
			this.note,
		);
		onEvent(event => this.take(event), this.signal);
		// What the relay still knows; the stream, which goes on, may tell the end of it as well.
		const known = [];

		await readEvents("/events?follow=false", "", event => known.push(event), this.signal);
		known.slice(-KEPT).forEach(event => this.take(event));
		this.events.sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
		this.draw();
	}
}

export async function showLive(options) {
	await new LiveView(options).start();
}
