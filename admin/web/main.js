// main.js - the frame around the views: who is logged in, where we are, how the relay is
import { logOut, may, mayAll, me, resume, whenSignedOut } from "./api.js";
import { complaint } from "./dialog.js";
import { h, replace, say } from "./dom.js";
import { startEvents } from "./events.js";
import { plural, short } from "./format.js";
import { icon } from "./icons.js";
import { onStatus, startStatus, statusFailure } from "./live.js";
import { place } from "./router.js";
import { showDropped } from "./view-dropped.js";
import { showFaults, showRules } from "./view-rules.js";
import { showLive } from "./view-live.js";
import { showLogIn } from "./view-login.js";
import { showMessage } from "./view-message.js";
import { showMessages } from "./view-messages.js";
import { showOverview } from "./view-overview.js";
import { showRoutes } from "./view-routes.js";
import { showAudit, showSettings, showTokens } from "./view-access.js";
import { showHistory, showWhitelist } from "./view-whitelist.js";

const app = document.getElementById("app");

// In the order of the menu; `whole`: not for a token that is limited to a scope; `role`: the least.
const views = [
	{ path: "overview", word: "Overview", icon: "gauge", show: showOverview },
	{ path: "messages", word: "Messages", icon: "mail", show: showMessages, one: showMessage },
	{ path: "dropped", word: "Dropped", icon: "ban", show: showDropped, whole: true },
	{ path: "whitelist", word: "Whitelist", icon: "shield", show: showWhitelist, one: showHistory },
	{ path: "live", word: "Live", icon: "pulse", show: showLive },
	{ path: "rules", word: "Rules", icon: "rules", show: showRules, whole: true },
	{ path: "faults", word: "Faults", icon: "bug", show: showFaults, whole: true },
	{ path: "routes", word: "Routes", icon: "route", show: showRoutes, whole: true },
	{ path: "tokens", word: "Tokens", icon: "key", show: showTokens, whole: true, role: "admin" },
	{ path: "audit", word: "Audit", icon: "list", show: showAudit, whole: true, role: "admin" },
	{
		path: "settings",
		word: "Settings",
		icon: "sliders",
		show: showSettings,
		whole: true,
		role: "admin",
	},
];

const isOpen = view => (mayAll() || !view.whole) && (!view.role || may(view.role));

let frame = null; // {main, tabs, stop}: while somebody is logged in
let current = null; // {path, close}: the view in it

// --- how the relay is, in two words -----------------------------------------------------------

function stateOf(status) {
	if (statusFailure())
		return { kind: "failed", icon: "warn", word: "No answer", title: statusFailure().message };
	if (status.store_failed)
		return {
			kind: "failed",
			icon: "warn",
			word: "Queue failed",
			title: "The queue can't be written.",
		};
	if (status.delivery.paused)
		return {
			kind: "paused",
			icon: "hold",
			word: "Delivery paused",
			title: status.delivery.reason || "",
		};
	if (status.accepting === false)
		return {
			kind: "paused",
			icon: "hold",
			word: "Not accepting",
			title: "The listeners take no connections.",
		};
	if (status.delivery.routes.length > 0)
		return {
			kind: "paused",
			icon: "hold",
			word: plural(status.delivery.routes.length, "route") + " paused",
			title: "",
		};
	return {
		kind: "well",
		icon: "check",
		word: "Delivering",
		title: "Mail is accepted and delivered.",
	};
}

function drawStatus(status, pill, host, badge) {
	if (status === null && !statusFailure()) return;
	const state = stateOf(status);

	replace(
		pill,
		h(
			"a",
			{ class: "pill " + state.kind, href: "#/overview", title: state.title },
			icon(state.icon),
			state.word,
		),
	);
	if (status !== null) {
		replace(host, status.hostname);
		replace(
			badge,
			status.queue.recipients.dropped ? short(status.queue.recipients.dropped) : null,
		);
	}
}

// --- the frame ---------------------------------------------------------------------------------

function account() {
	const name = me().actor.replace(/^token:/, "");

	return h(
		"div.account",
		{},
		h(
			"span",
			{ title: me().scope ? `limited to the scope ${me().scope}` : undefined },
			h("span.account-name", {}, name),
			" ",
			h("span.muted", {}, me().scope ? `${me().role}, ${me().scope}` : me().role),
		),
		h(
			"button.quiet",
			{ type: "button", "aria-label": "Log out", on: { click: leave } },
			icon("out"),
			h("span.wide", {}, "Log out"),
		),
	);
}

function drawFrame() {
	const stopped = new AbortController();
	const pill = h("div.status");
	const host = h("span.host");
	const badge = h("span.badge");
	const main = h("main", { id: "main", tabindex: "-1" });
	const tabs = h("ul");

	for (const view of views.filter(isOpen))
		tabs.append(
			h(
				"li",
				{},
				h(
					"a",
					{ href: "#/" + view.path, "data-view": view.path },
					icon(view.icon),
					view.word,
					view.path === "dropped" && badge,
				),
			),
		);
	replace(
		app,
		h("a.skip", { href: "#main", on: { click: skip } }, "Skip to the content"),
		h(
			"header.top",
			{},
			h(
				"a.brand",
				{ href: "#/overview" },
				h("img", { src: "web/icon.svg", alt: "", width: 24, height: 24 }),
				"Stagepost",
			),
			host,
			h("span.spring"),
			pill,
			account(),
		),
		h("nav.tabs", { "aria-label": "Views" }, tabs),
		main,
	);
	frame = { main, tabs, stop: () => stopped.abort() };
	startEvents(stopped.signal);
	startStatus(stopped.signal);
	onStatus(status => drawStatus(status, pill, host, badge), stopped.signal);
}

function skip(event) {
	event.preventDefault();
	frame.main.focus();
}

function closeView() {
	current?.close.abort();
	current = null;
}

function drawTabs(path) {
	for (const link of frame.tabs.querySelectorAll("a"))
		if (link.dataset.view === path) {
			link.setAttribute("aria-current", "page");
			link.scrollIntoView({ block: "nearest", inline: "nearest" });
		} else {
			link.removeAttribute("aria-current");
		}
}

/*
 * A view gets {main, id, params, signal}, fills main, and is told by `signal` when another one takes
 * its place; it may return a function that is called when only its parameters change.
 */
async function drawView() {
	const { path, id, params } = place();
	const view = views.find(one => one.path === path && isOpen(one)) || views[0];
	const key = `${view.path}/${id}`;

	if (current?.key === key && current.update) {
		current.update(params);
		return;
	}
	closeView();
	const close = new AbortController();
	const main = h("div.view");
	const mine = { key, close };

	current = mine;
	drawTabs(view.path);
	document.title = `${view.word} - Stagepost`;
	replace(frame.main, main);
	frame.main.scrollTop = 0;
	window.scrollTo(0, 0);
	try {
		const show = id && view.one ? view.one : view.show;

		mine.update = await show({ main, id, params, signal: close.signal });
	} catch (error) {
		if (!close.signal.aborted) replace(main, h("h1", {}, view.word), complaint(error));
	}
	if (current === mine) focusHeading(main);
}

// After a step to another view the keyboard and the screen reader begin at its heading.
let first = true;
function focusHeading(main) {
	const heading = main.querySelector("h1");

	if (heading && !first && !main.contains(document.activeElement)) {
		heading.tabIndex = -1;
		heading.focus({ preventScroll: true });
	}
	first = false;
}

// --- in and out ----------------------------------------------------------------------------------

function enter() {
	drawFrame();
	drawView();
}

function drawLogIn(why) {
	closeView();
	frame?.stop();
	frame = null;
	document.title = "Log in - Stagepost";
	showLogIn(app, why, enter);
}

async function leave() {
	try {
		await logOut();
		drawLogIn("");
		say("You are logged out.");
	} catch (error) {
		drawLogIn(error.message);
	}
}

window.addEventListener("hashchange", () => {
	if (frame) drawView();
});
whenSignedOut(() => drawLogIn("The session is over. Please log in again."));

async function boot() {
	try {
		if ((await resume()) === null) drawLogIn("");
		else enter();
	} catch (error) {
		replace(
			app,
			h(
				"main.boot",
				{},
				h("h1", {}, "Stagepost"),
				complaint(error),
				h(
					"button",
					{ type: "button", on: { click: () => location.reload() } },
					"Try again",
				),
			),
		);
	}
}

boot();
