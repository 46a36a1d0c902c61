// chart.js - bars over time, drawn as SVG; the same numbers stand beside it in words
import { count } from "./format.js";
import { h, svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 100;
const TOP = 1;

// 1, 2, 5, 10, 20, 50, …: a top that people read easily.
function niceTop(max) {
	let top = 1;

	for (let i = 0; top < max; i++) top = [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3);
	return top;
}

function barOf(row, series, x, width, scale) {
	let y = HEIGHT;

	return series
		.filter(one => row[one.name] > 0)
		.map(one => {
			const height = Math.max(1, row[one.name] * scale);

			y -= height;
			return svg("rect", {
				class: "bar-" + one.name,
				x: x.toFixed(2),
				y: y.toFixed(2),
				width: width.toFixed(2),
				height: height.toFixed(2),
			});
		});
}

const line = (kind, y) => svg("line." + kind, { x1: 0, x2: WIDTH, y1: y, y2: y });

// rows: [{at, NAME: number}], oldest first; series: [{name, word}], the first at the bottom.
export function bars(rows, series, slots, seconds, title) {
	const step = WIDTH / slots;
	const totals = rows.map(row => series.reduce((sum, one) => sum + row[one.name], 0));
	const top = niceTop(Math.max(1, ...totals));
	const scale = (HEIGHT - TOP) / top;
	const first = slots - rows.length;

	return [
		h("div.axis", { "aria-hidden": "true" }, h("span", {}, count(top))),
		svg(
			"svg.chart",
			{
				viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
				role: "img",
				"aria-label": describe(rows, series, title),
				preserveAspectRatio: "none",
			},
			line("mark", TOP),
			line("mark", HEIGHT / 2),
			rows.map((row, i) => barOf(row, series, (first + i) * step + 0.75, step - 1.5, scale)),
			line("base", HEIGHT),
		),
		h(
			"div.axis",
			{ "aria-hidden": "true" },
			h("span", {}, `${Math.round((slots * seconds) / 60)} min ago`),
			h("span", {}, "now"),
		),
	];
}

function describe(rows, series, title) {
	const sums = series.map(
		one => `${count(rows.reduce((sum, row) => sum + row[one.name], 0))} ${one.word}`,
	);

	return `${title}: ${sums.join(", ")}`;
}

export function total(rows, name) {
	return rows.reduce((sum, row) => sum + row[name], 0);
}
