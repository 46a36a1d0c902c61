// view-content.js - what a message says and holds: text, HTML in a frame that can do nothing, parts
import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { size } from "./format.js";
import { icon } from "./icons.js";
import { linesOf, readText } from "./bytes.js";

export const hasText = message => Boolean(message.content.text || message.content.html);
export const hasHtml = message => Boolean(message.content.html);

const overLimit = content =>
	content.over_limit &&
	h("p.note.warning", {}, icon("warn"), "There are more parts than were looked at.");

export async function showText(message, signal) {
	const { text, whole } = await readText(`/messages/${message.id}/text`, signal);

	return [
		!message.content.text &&
			h("p.note", {}, "The message has HTML only: this is what it says without its looks."),
		h("pre.text", {}, linesOf(text.replace(/\r?\n/g, "\r\n")).join("\n")),
		!whole && h("p.note", {}, "Only the beginning is shown."),
	];
}

// --- HTML ---------------------------------------------------------------------------------------

const widths = [
	["", "As wide as here"],
	["tablet", "Tablet"],
	["phone", "Phone"],
];

/*
 * The relay sends it with a policy under which nothing runs or is loaded; the frame has no origin
 * and may nothing either. Each alone would do.
 */
export async function showHtml(message) {
	const frame = h("iframe.mail-frame", {
		sandbox: "",
		referrerpolicy: "no-referrer",
		title: "The message as HTML",
		src: `api/v1/messages/${message.id}/html`,
	});
	const bar = h("div.filters", { role: "group", "aria-label": "Width" });

	function draw(width) {
		frame.dataset.width = width;
		replace(
			bar,
			widths.map(([value, word]) =>
				h(
					"button.small",
					{
						type: "button",
						"aria-pressed": String(value === width),
						"data-key": "width-" + value,
						on: { click: () => draw(value) },
					},
					word,
				),
			),
		);
	}
	draw("");
	return [
		h(
			"p.muted",
			{},
			"Shown without scripts, forms and anything from elsewhere: pictures that are not in the message are missing.",
		),
		bar,
		frame,
	];
}

// --- parts ------------------------------------------------------------------------------------

function partRow(message, part, depth) {
	const path = part.part && `api/v1/messages/${message.id}/parts/${part.part}`;
	const holds = part.parts.length > 0;
	const row = h(
		"tr",
		{},
		h("th", { scope: "row", class: `depth-${Math.min(depth, 8)}` }, part.part || "whole"),
		h("td", {}, part.type, part.charset && h("span.muted", {}, `, ${part.charset}`)),
		h("td", {}, part.filename || h("span.muted", {}, part.disposition || "")),
		h("td.num", {}, size(part.size)),
		h("td", {}, part.trouble && h("span.warn-text", {}, icon("warn"), " ", part.trouble)),
		h(
			"td.num",
			{},
			path &&
				!holds &&
				h(
					"a",
					{ href: path, download: true, "aria-label": `Download part ${part.part}` },
					"Download",
				),
		),
	);

	return [row, ...part.parts.flatMap(one => partRow(message, one, depth + 1))];
}

export async function showParts(message, signal) {
	const parts = await get(`/messages/${message.id}/parts`, {}, { signal });

	return [
		overLimit(parts),
		h(
			"div.scroll",
			{ tabindex: "0", role: "region", "aria-label": "Parts" },
			h(
				"table",
				{},
				h(
					"thead",
					{},
					h(
						"tr",
						{},
						["Part", "Type", "Name", "Size", "Trouble"].map(word =>
							h("th", { scope: "col", class: word === "Size" ? "num" : "" }, word),
						),
						h("td", {}),
					),
				),
				h("tbody", {}, partRow(message, parts.root, 0)),
			),
		),
	];
}
