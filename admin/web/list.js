// list.js - a long list: only what is in sight is in the document, the rest is fetched when needed
import { complaint } from "./dialog.js";
import { h, replace } from "./dom.js";
import { repeat } from "./live.js";

const AHEAD = 10; // rows drawn above and below what is in sight
const NEAR = 40; // rows before the end when the next page is fetched
const FRESH_MS = 3000;

/*
 * A list of items with `id`, newest first, by the API's keyset pages.
 *   fetchPage(after, signal) -> {items, next}
 *   row(item) -> element, rowHeight in CSS pixels
 *   empty() -> nodes
 *   types: events after which it is another (live.js)
 * The list follows what happens: its first page and the one in sight are asked again.
 */
export class List {
	constructor(options) {
		this.options = options;
		this.rows = []; // {item, after: the cursor its page was fetched with}
		this.byId = new Map();
		this.next = null;
		this.round = 0; // which list it is: start() begins another one
		this.known = false; // the first page is there
		this.loading = false;
		this.trouble = null;
		this.drawn = null; // what the document shows
		this.stopped = new AbortController();
		this.space = h("div.list-space");
		this.note = h("div.list-note");
		this.news = h("button.list-news", {
			type: "button",
			hidden: true,
			on: { click: () => this.toTop() },
		});
		this.box = h(
			"div.list",
			{
				role: "list",
				tabindex: "0",
				"aria-label": options.label,
				on: { scroll: () => this.draw(), keydown: event => this.onKey(event) },
			},
			this.space,
		);
		this.node = h("div.list-frame", {}, this.news, this.box, this.note);
		this.sizes = new ResizeObserver(() => this.draw());
		this.sizes.observe(this.box);
		replace(this.note, h("p.muted", {}, "Loading …"));
		this.again = repeat(FRESH_MS, () => this.refresh(), this.stopped.signal, options.types);
	}

	close() {
		this.stopped.abort();
		this.sizes.disconnect();
	}

	// --- what is known -------------------------------------------------------------------

	page(after) {
		return this.options.fetchPage(after, this.stopped.signal);
	}

	rowOf(item, after) {
		const row = this.byId.get(item.id) || { item, after };

		row.item = item;
		this.byId.set(item.id, row);
		return row;
	}

	start(page) {
		this.byId.clear();
		this.rows = page.items.map(item => this.rowOf(item, null));
		this.next = page.next;
		this.known = true;
		this.round++;
	}

	// The index of the last row that the page has as well; -1: nothing joins.
	lastKnown(page) {
		for (let i = page.items.length - 1; i >= 0; i--)
			if (this.byId.has(page.items[i].id))
				return this.rows.indexOf(this.byId.get(page.items[i].id));
		return -1;
	}

	// A page as it is now takes the place of what was known of this stretch. False: it joins nowhere.
	merge(page, after) {
		const first = after === null ? 0 : this.rows.findIndex(row => row.after === after);
		const end = page.next === null ? this.rows.length : this.lastKnown(page) + 1;

		if (first < 0 || end <= first) return false;
		const rows = page.items.map(item => this.rowOf(item, after));
		const here = new Set(rows);

		for (const row of this.rows.slice(first, end))
			if (!here.has(row)) this.byId.delete(row.item.id);
		this.rows.splice(first, end - first, ...rows);
		if (page.next === null) this.next = null;
		for (let i = first + rows.length; i < this.rows.length && this.rows[i].after === after; i++)
			this.rows[i].after = page.next;
		return true;
	}

	takeFirst(page) {
		if (this.rows.length === 0 || page.items.length === 0) {
			this.start(page);
		} else if (!this.merge(page, null)) {
			// More is new than a page holds: don't pull away what somebody reads.
			if (this.box.scrollTop > 0) this.showNews("There is a lot that is new: show it");
			else this.start(page);
		}
	}

	// The pages in sight, but for the first one.
	cursorsInSight() {
		const sight = this.inSight();
		const rows = this.rows.slice(sight.first, sight.end);

		return [...new Set([rows[0]?.after, rows.at(-1)?.after])].filter(after => after);
	}

	async refresh() {
		try {
			const cursors = this.cursorsInSight();
			const pages = [await this.page(null)];

			for (const after of cursors) pages.push(await this.page(after));
			this.keepPlace(() => {
				this.takeFirst(pages[0]);
				cursors.forEach((after, i) => this.merge(pages[i + 1], after));
			});
			this.trouble = null;
		} catch (error) {
			if (error.name === "AbortError") return;
			this.trouble = error;
		}
		this.drawn = null;
		this.draw();
	}

	// What is on top of what is in sight stays there, unless that is the very top.
	keepPlace(change) {
		const at = this.inSight().first;
		const anchor = this.box.scrollTop > 0 ? this.rows[at] : undefined;

		change();
		const now = anchor ? this.rows.indexOf(anchor) : -1;

		if (now >= 0 && now !== at) {
			this.space.style.height = `${this.rows.length * this.options.rowHeight}px`;
			this.box.scrollTop += (now - at) * this.options.rowHeight;
		}
	}

	append(page, after) {
		for (const item of page.items)
			if (!this.byId.has(item.id)) this.rows.push(this.rowOf(item, after));
		this.next = page.next;
	}

	async more() {
		if (this.loading || this.next === null) return;
		const { next: after, round } = this;

		this.loading = true;
		try {
			const page = await this.page(after);

			if (round === this.round) this.append(page, after);
			this.trouble = null;
		} catch (error) {
			if (error.name === "AbortError") return;
			this.trouble = error;
			await new Promise(resolve => setTimeout(resolve, FRESH_MS));
		}
		this.loading = false;
		this.drawn = null;
		this.draw();
	}

	// --- what is in sight ----------------------------------------------------------------

	inSight() {
		const first = Math.floor(this.box.scrollTop / this.options.rowHeight);

		return {
			first,
			end: first + Math.ceil(this.box.clientHeight / this.options.rowHeight) + 1,
		};
	}

	showNews(text) {
		this.news.hidden = text === "";
		replace(this.news, text);
	}

	toTop() {
		this.box.scrollTop = 0;
		this.rows = [];
		this.showNews("");
		this.again();
	}

	draw() {
		const sight = this.inSight();
		const first = Math.max(0, sight.first - AHEAD);
		const end = Math.min(this.rows.length, sight.end + AHEAD);
		const range = `${first} ${end} ${this.rows.length}`;

		if (sight.end + NEAR >= this.rows.length) this.more();
		if (this.drawn === range) return;
		this.drawn = range;
		this.space.style.height = `${this.rows.length * this.options.rowHeight}px`;
		replace(
			this.space,
			this.rows.slice(first, end).map((row, i) => this.place(row.item, first + i)),
		);
		this.drawNote();
	}

	place(item, index) {
		const node = this.options.row(item);
		const shown = h(
			"div.list-row",
			{
				role: "listitem",
				"aria-posinset": index + 1,
				"aria-setsize": this.next === null ? this.rows.length : -1,
			},
			node,
		);

		node.dataset.key = item.id;
		shown.style.transform = `translateY(${index * this.options.rowHeight}px)`;
		shown.style.height = `${this.options.rowHeight}px`;
		return shown;
	}

	drawNote() {
		this.box.classList.toggle("is-empty", this.known && this.rows.length === 0);
		replace(
			this.note,
			this.trouble && complaint(this.trouble),
			!this.trouble && !this.known && h("p.muted", {}, "Loading …"),
			!this.trouble &&
				this.known &&
				this.rows.length === 0 &&
				(this.next === null
					? h("div.empty", {}, this.options.empty())
					: h("p.muted", {}, "Looking at what is older …")),
		);
	}

	// Up and down go from row to row, as a list in a mail program does.
	onKey(event) {
		const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];

		if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
		const key = document.activeElement?.closest?.("[data-key]")?.dataset.key;
		const at = this.rows.findIndex(row => String(row.item.id) === key);
		const to = Math.min(
			this.rows.length - 1,
			Math.max(0, at < 0 ? this.inSight().first : at + step),
		);

		event.preventDefault();
		this.show(to);
		this.space
			.querySelector(`[data-key="${CSS.escape(String(this.rows[to]?.item.id))}"]`)
			?.focus({ preventScroll: true });
	}

	show(index) {
		const top = index * this.options.rowHeight;

		if (top < this.box.scrollTop) this.box.scrollTop = top;
		else if (top + this.options.rowHeight > this.box.scrollTop + this.box.clientHeight)
			this.box.scrollTop = top + this.options.rowHeight - this.box.clientHeight;
		this.draw();
	}
}
