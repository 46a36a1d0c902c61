// view-routes.js - how mail leaves: each route, its hosts and troubles, stop and go
import { get, may } from "./api.js";
import { complaint } from "./dialog.js";
import { h, replace } from "./dom.js";
import { count } from "./format.js";
import { icon } from "./icons.js";
import { repeat } from "./live.js";
import { ago, button, facts, head } from "./parts.js";
import { pause, resume } from "./view-overview.js";

const FRESH_MS = 3000;

function hostRow(host) {
	const rests = host.resting_until && new Date(host.resting_until) > Date.now();

	return h(
		"tr",
		{},
		h("th", { scope: "row" }, host.host),
		h(
			"td",
			{},
			h(
				"span.chip",
				{ class: rests ? "is-deferred" : host.well ? "is-delivered" : "is-held" },
				icon(rests ? "clock" : host.well ? "check" : "warn"),
				rests
					? ["Rests, next try ", ago(host.resting_until)]
					: host.well
						? "Well"
						: "Had trouble",
			),
		),
		h("td.num", {}, count(host.connections)),
		h(
			"td.wide",
			{},
			host.last_error
				? [host.last_error, " ", h("span.muted", {}, ago(host.last_error_at))]
				: h("span.muted", {}, "none"),
		),
	);
}

function hosts(route) {
	if (route.hosts.length === 0) return h("p.muted", {}, "No host was needed yet.");
	return h(
		"div.scroll",
		{ tabindex: "0", role: "region", "aria-label": `Hosts of ${route.name}` },
		h(
			"table",
			{},
			h(
				"thead",
				{},
				h(
					"tr",
					{},
					["Host", "How it is", "Connections", "Last trouble"].map((word, i) =>
						h(
							"th",
							{ scope: "col", class: i === 2 ? "num" : i === 3 ? "wide" : "" },
							word,
						),
					),
				),
			),
			h("tbody", {}, route.hosts.map(hostRow)),
		),
	);
}

function troubles(route) {
	const list = Object.entries(route.troubles).filter(([, n]) => n > 0);

	return list.length > 0
		? list.map(([kind, n]) => `${count(n)} ${kind.replace("_", " ")}`).join(", ")
		: null;
}

function card(view, route) {
	const path = `/routes/${route.name}`;

	return h(
		"li.card",
		{ "data-key": route.name },
		h(
			"div.recipient-head",
			{},
			h("h2", {}, route.name),
			route.paused
				? h("span.chip.is-held", {}, icon("hold"), "Paused")
				: h("span.chip.is-delivered", {}, icon("check"), "Open"),
			h("span.spring"),
			may("operator") &&
				(route.paused
					? button(
							"Resume",
							"play",
							() =>
								view.change(() => resume(`Route ${route.name}`, path + "/resume")),
							{ class: "small primary", "data-part": "toggle" },
						)
					: button(
							"Pause …",
							"hold",
							() => view.change(() => pause(`route ${route.name}`, path + "/pause")),
							{ class: "small", "data-part": "toggle" },
						)),
		),
		route.paused &&
			h(
				"p.warn-text",
				{},
				`Paused${route.paused_by ? ` by ${route.paused_by.replace(/^token:/, "")}` : ""}`,
				route.paused_at && [", ", ago(route.paused_at)],
				route.pause_reason ? `: ${route.pause_reason}` : ".",
			),
		route.login_refused &&
			h(
				"p.warn-text",
				{},
				icon("warn"),
				" The next hop refuses our login: nothing leaves by this route.",
			),
		facts([
			["Connections", `${count(route.connections)}, ${count(route.busy)} of them at work`],
			["Waiting", count(route.waiting)],
			["Delivered", count(route.delivered)],
			["Deferred", count(route.deferred)],
			["Failed", count(route.failed)],
			["Troubles", troubles(route)],
			[
				"Last trouble",
				route.hosts.length === 0 &&
					route.last_error && [
						route.last_error,
						" ",
						h("span.muted", {}, ago(route.last_error_at)),
					],
			],
		]),
		hosts(route),
	);
}

export function showRoutes({ main, signal }) {
	const list = h("ul.recipients");
	const trouble = h("div");
	const view = {
		change: async act => {
			await act();
			again();
		},
	};

	replace(
		main,
		head("Routes"),
		h(
			"p.lead",
			{},
			"How mail leaves; the first route whose domains fit takes it. Numbers since the start. Routes are made in the configuration.",
		),
		trouble,
		list,
	);
	replace(list, h("li.muted", {}, "Loading …"));
	const again = repeat(
		FRESH_MS,
		async () => {
			try {
				const { items } = await get("/routes", {}, { signal });

				replace(trouble);
				replace(
					list,
					items.length > 0
						? items.map(route => card(view, route))
						: h(
								"li.empty",
								{},
								h("h2", {}, "No routes"),
								h(
									"p",
									{},
									"Mail that may leave waits until the configuration has a route for it.",
								),
							),
				);
			} catch (error) {
				if (error.name !== "AbortError") replace(trouble, complaint(error));
			}
		},
		signal,
		["attempt", "delivery"],
	);
}
