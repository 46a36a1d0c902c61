// view-overview.js - can anything leave, does it, and how much is where
import { may, mayAll, post } from "./api.js";
import { bars, total } from "./chart.js";
import { ask, field } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { firstSteps } from "./first-steps.js";
import { count, plural, relative, size, span, states } from "./format.js";
import { icon } from "./icons.js";
import {
	barCount,
	barSeconds,
	history,
	onStatus,
	refreshStatus,
	status,
	statusFailure,
} from "./live.js";
import { ago, button, head } from "./parts.js";
import { address } from "./router.js";

const outcomes = [
	{ name: "delivered", word: "delivered" },
	{ name: "dropped", word: "dropped" },
	{ name: "deferred", word: "deferred" },
	{ name: "failed", word: "failed" },
];

// --- stop and go --------------------------------------------------------------------------------

export async function pause(what, path) {
	await ask({
		title: `Pause ${what}`,
		action: "Pause",
		content: () => [
			h("p", {}, "Mail is accepted and waits. What is being sent right now is finished."),
			field(
				"Why",
				h("input", { name: "reason", maxlength: 200 }),
				"Shown to everybody until it is resumed.",
			),
		],
		act: form =>
			post(path, form.reason.value.trim() ? { reason: form.reason.value.trim() } : {}),
		command: form => [
			"POST",
			path,
			form.reason.value.trim() ? { reason: form.reason.value.trim() } : {},
		],
	});
	refreshStatus();
}

export async function resume(what, path) {
	try {
		await post(path);
		say(`${what} goes on.`);
	} catch (error) {
		say(error.message, "failed");
	}
	refreshStatus();
}

function pausedNote(delivery) {
	if (!delivery.paused) return null;
	return h(
		"div.note.warning",
		{},
		icon("hold"),
		h(
			"div",
			{},
			h(
				"p",
				{},
				h("strong", {}, "Delivery is paused"),
				delivery.paused_by ? ` by ${delivery.paused_by.replace(/^token:/, "")}` : "",
				delivery.paused_at && [", ", ago(delivery.paused_at)],
				delivery.reason ? `: ${delivery.reason}` : ".",
			),
		),
		h("span.spring"),
		may("operator") &&
			mayAll() &&
			button("Resume", "play", () => resume("Delivery", "/delivery/resume"), {
				class: "primary",
				"data-key": "resume",
			}),
	);
}

// --- what stands where ----------------------------------------------------------------------------

const sentence = text => `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

function leaving(now) {
	return h(
		"section.card.leaving",
		{ "aria-labelledby": "leaving" },
		h("h2", { id: "leaving" }, "What can leave"),
		h(
			"p",
			{ class: now.whitelist.allows_all ? "warn-text" : "" },
			sentence(now.can_leave || "not known"),
		),
		h(
			"p.muted",
			{},
			h("a", { href: "#/whitelist" }, plural(now.whitelist.entries, "entry", "entries")),
			` in the whitelist, revision ${now.whitelist.revision}`,
		),
	);
}

function tile(state, n, note) {
	return h(
		"a.tile",
		{
			class: `is-${state}${n === 0 ? " is-zero" : ""}`,
			href: address(
				state === "dropped" && mayAll() ? "dropped" : "messages",
				"",
				state === "dropped" && mayAll() ? {} : { state },
			),
		},
		h("span.tile-word", {}, icon(states[state].icon), states[state].word),
		h("span.tile-count", {}, count(n)),
		note && h("span.tile-note", {}, note),
	);
}

const always = ["queued", "deferred", "held", "delivered", "dropped", "failed"];

function tiles(queue) {
	const shown = Object.keys(states).filter(
		state => always.includes(state) || queue.recipients[state],
	);
	const due =
		queue.recipients.queued > 0 &&
		queue.oldest_due_at &&
		new Date(queue.oldest_due_at) < Date.now()
			? `oldest due ${relative(queue.oldest_due_at)}`
			: null;

	return h(
		"section",
		{ "aria-labelledby": "recipients" },
		h("h2", { id: "recipients" }, "Recipients by state"),
		h(
			"div.tiles",
			{},
			shown.map(state =>
				tile(state, queue.recipients[state] || 0, state === "queued" ? due : null),
			),
		),
	);
}

function legend(series, rows) {
	return h(
		"ul.legend",
		{},
		series.map(one =>
			h(
				"li",
				{},
				h("span.swatch", { class: "bar-" + one.name }),
				`${count(total(rows, one.name))} ${one.word}`,
			),
		),
	);
}

function charts() {
	const rows = history();
	const accepted = [{ name: "accepted", word: "accepted" }];

	return h(
		"section.charts",
		{ "aria-label": "The last ten minutes" },
		h(
			"figure.card",
			{},
			h("figcaption", {}, h("h2", {}, "Messages in"), legend(accepted, rows)),
			bars(rows, accepted, barCount, barSeconds, "Messages accepted"),
		),
		h(
			"figure.card",
			{},
			h("figcaption", {}, h("h2", {}, "Recipients out"), legend(outcomes, rows)),
			bars(rows, outcomes, barCount, barSeconds, "What became of recipients"),
		),
		h("p.muted.hint", {}, "Per ten seconds, since this page was opened."),
	);
}

function routeLine(route) {
	const trouble = route.login_refused ? "the next hop refuses our login" : route.last_error;

	return h(
		"tr",
		{},
		h("th", { scope: "row" }, mayAll() ? h("a", { href: "#/routes" }, route.name) : route.name),
		h(
			"td",
			{},
			route.paused
				? h("span.chip.is-held", {}, icon("hold"), "Paused")
				: h("span.chip.is-delivered", {}, icon("check"), "Open"),
		),
		h("td.num", {}, count(route.waiting)),
		h("td.num", {}, count(route.delivered)),
		h("td.num", {}, count(route.deferred)),
		h("td.num", {}, count(route.failed)),
		h(
			"td.wide",
			{},
			trouble
				? [trouble, " ", h("span.muted", {}, ago(route.last_error_at))]
				: h("span.muted", {}, "none"),
		),
	);
}

function routes(now) {
	if (now.routes.length === 0) return null;
	return h(
		"section.card",
		{ "aria-labelledby": "routes" },
		h("h2", { id: "routes" }, "Routes, since the start"),
		h(
			"div.scroll",
			{ tabindex: "0", role: "region", "aria-label": "Numbers of the routes" },
			h(
				"table",
				{},
				h(
					"thead",
					{},
					h(
						"tr",
						{},
						[
							"Route",
							"State",
							"Waiting",
							"Delivered",
							"Deferred",
							"Failed",
							"Last trouble",
						].map((word, i) =>
							h(
								"th",
								{
									scope: "col",
									class: i > 1 && i < 6 ? "num" : i === 6 ? "wide" : "",
								},
								word,
							),
						),
					),
				),
				h("tbody", {}, now.routes.map(routeLine)),
			),
		),
	);
}

// --- the disk -------------------------------------------------------------------------------------

const age = seconds => (seconds === null ? "for ever" : span(seconds * 1000));

function ages({ delivered, dropped, failed, metadata }) {
	const words = [
		`delivered ${age(delivered)}`,
		`dropped ${age(dropped)}`,
		`failed ${age(failed)}`,
		`what is known of it ${age(metadata)}`,
	];

	return `Content is kept: ${words.join(", ")}.`;
}

function removedText({ removed, removed_at: at, waits_seconds: waits }) {
	if (waits > 0)
		return `The clock was set on: nothing goes for its age for another ${span(waits * 1000)}.`;
	if (removed.contents + removed.messages === 0)
		return "Nothing has gone by itself since the start.";
	return [
		`Gone by itself since the start: ${plural(removed.messages, "message")}, content of ${count(removed.contents)} more, ${size(removed.bytes)}; last `,
		ago(at),
		".",
	];
}

const fullWords = {
	disk: "the disk is full",
	max_bytes: "retention.max_bytes is reached",
	max_messages: "retention.max_messages is reached",
};

function disk({ space, retention }) {
	const used = space.database_bytes - space.unused_bytes;
	const label = space.max_bytes > 0 ? `${size(used)} of ${size(space.max_bytes)}` : size(used);

	return h(
		"section.card",
		{ "aria-labelledby": "disk" },
		h("h2", { id: "disk" }, "Disk"),
		space.max_bytes > 0 &&
			h("meter.room", {
				min: 0,
				max: space.max_bytes,
				high: space.max_bytes * 0.9,
				value: used,
				"aria-label": `The database holds ${label}`,
			}),
		h(
			"p",
			{ class: space.full ? "warn-text" : "" },
			`The database holds ${label}`,
			space.disk_free_bytes !== null && `; ${size(space.disk_free_bytes)} free on its disk`,
			space.full ? `. New mail is refused: ${fullWords[space.full]}.` : ".",
		),
		h("p.muted", {}, ages(retention.ages), " ", removedText(retention)),
	);
}

function notes(now) {
	// That has a place of its own, with the way to end it.
	const list = now.warnings.filter(text => !/^delivery is paused/.test(text));

	if (now.store_behind) list.push("The disk is behind: sessions wait for it.");
	return list.length === 0
		? null
		: h(
				"section.note.warning",
				{ "aria-label": "Warnings" },
				icon("warn"),
				h(
					"ul.plain",
					{},
					list.map(text => h("li", {}, sentence(text))),
				),
			);
}

function relayFacts(now) {
	return h(
		"p.muted.hint",
		{},
		`Stagepost ${now.version}, up for ${span(Date.now() - new Date(now.started_at))}; `,
		`${plural(now.queue.messages, "message")} stored, ${size(now.queue.bytes)}; `,
		now.listeners.length > 0 && `SMTP at ${now.listeners.join(", ")}; `,
		`${plural(now.sessions ?? 0, "session")} open.`,
	);
}

function headOf(now) {
	const free = may("operator") && mayAll() && !now.delivery.paused;

	return head(
		"Overview",
		h("span.spring"),
		free &&
			button("Pause delivery", "hold", () => pause("delivery", "/delivery/pause"), {
				"data-key": "pause",
			}),
	);
}

function draw(main) {
	const now = status();

	if (now === null) return;
	replace(
		main,
		headOf(now),
		statusFailure() &&
			h(
				"div.note.warning",
				{ role: "alert" },
				icon("warn"),
				h("p", {}, statusFailure().message, " What is shown is what was known last."),
			),
		pausedNote(now.delivery),
		notes(now),
		firstSteps(now),
		leaving(now),
		tiles(now.queue),
		charts(),
		routes(now),
		disk(now),
		relayFacts(now),
	);
}

export function showOverview({ main, signal }) {
	replace(main, head("Overview"), h("p.muted", {}, "Loading …"));
	onStatus(() => draw(main), signal);
}
