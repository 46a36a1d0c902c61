// dom.js - elements made of text and nodes; never of markup. Whatever a message says stays text.

const SVG = "http://www.w3.org/2000/svg";

// Characters that nobody sees or that turn the order of others around are shown by their number:
// controls (but line ends and TAB), bidirectional controls, zero-width ones, line separators.
const HIDDEN =
	/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function visible(text) {
	return String(text).replace(
		HIDDEN,
		c => "\u27e8" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9",
	);
}

// Addresses that a link or frame may have: places of this page, and the relay's own API.
function ownAddress(value) {
	if (!/^(#|api\/v1\/|web\/)/.test(value))
		throw new Error("not an address of this page: " + value);
	return value;
}

function setProps(element, props) {
	for (const [name, value] of Object.entries(props)) {
		if (value === undefined || value === null || value === false) continue;
		if (name === "on")
			for (const [event, listener] of Object.entries(value))
				element.addEventListener(event, listener);
		else if (name === "class")
			element.setAttribute(
				"class",
				[element.getAttribute("class"), value].filter(Boolean).join(" "),
			);
		else if (name === "href" || name === "src") element.setAttribute(name, ownAddress(value));
		else if (
			name === "value" ||
			name === "checked" ||
			name === "disabled" ||
			name === "selected" ||
			name === "open" ||
			name === "htmlFor"
		)
			element[name] = value;
		else element.setAttribute(name, value === true ? "" : visible(value));
	}
}

function add(element, child) {
	if (child === undefined || child === null || child === false || child === true) return;
	if (Array.isArray(child)) for (const one of child) add(element, one);
	else if (child instanceof Node) element.append(child);
	else element.append(visible(child));
}

function isProps(value) {
	return (
		value !== null &&
		typeof value === "object" &&
		!Array.isArray(value) &&
		!(value instanceof Node)
	);
}

function make(element, classes, rest) {
	if (classes.length > 0) element.setAttribute("class", classes.join(" "));
	if (rest.length > 0 && isProps(rest[0])) setProps(element, rest.shift());
	add(element, rest);
	return element;
}

// h("button.primary", {on: {click: f}}, "Save", icon) - the properties may be left out.
export function h(spec, ...rest) {
	const [tag, ...classes] = spec.split(".");
	return make(document.createElement(tag), classes, rest);
}

export function svg(spec, ...rest) {
	const [tag, ...classes] = spec.split(".");
	return make(document.createElementNS(SVG, tag), classes, rest);
}

// Put other children in place; who had the focus keeps it, by data-key.
export function replace(parent, ...children) {
	const active = parent.contains(document.activeElement) ? document.activeElement : null;
	const key = active && active !== parent ? active.closest("[data-key]")?.dataset.key : undefined;
	const part = active?.dataset?.part;
	const fresh = document.createDocumentFragment();

	add(fresh, children);
	parent.replaceChildren(fresh);
	if (key === undefined) return parent;
	const holder = parent.querySelector(`[data-key="${CSS.escape(key)}"]`);
	const again = part ? holder?.querySelector(`[data-part="${CSS.escape(part)}"]`) : holder;
	(again || holder)?.focus({ preventScroll: true });
	return parent;
}

let serial = 0;
export function newId(prefix) {
	return `${prefix}-${++serial}`;
}

// What just happened, for a screen reader and, for some seconds, for everybody.
export function say(text, kind = "done") {
	const said = document.getElementById("said");
	const line = h("p", { class: kind }, text);

	said.append(line);
	setTimeout(() => line.remove(), kind === "done" ? 6000 : 12000);
}
