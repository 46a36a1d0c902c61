// icons.js - small line drawings, 16 by 16; the words beside them say it all
import { svg } from "./dom.js";

const paths = {
	allow: "M8 2v12M2 8h12",
	arrow: "M3 8h9M8.500 4 12.500 8l-4 4",
	ban: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M4 4l8 8",
	bug: "M5.500 6a2.500 2.500 0 0 1 5 0v4a2.500 2.500 0 0 1-5 0zM2 5l3 1.500M14 5l-3 1.500M2 9h3M11 9h3M3 13l2.500-2M13 13l-2.500-2",
	check: "M3 8.500 6.500 12 13 4.500",
	clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 4.500V8l2.500 1.500",
	close: "M4 4l8 8M12 4l-8 8",
	copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
	cross: "M4 4l8 8M12 4l-8 8",
	dots: "M3.500 8h.01M8 8h.01M12.500 8h.01",
	down: "M8 2v9M4 7.500 8 11.500l4-4M3 14h10",
	gauge: "M2.500 12a6 6 0 1 1 11 0M8 10l3-4",
	glass: "M4 2h8M4 14h8M5 2c0 4 6 4 6 12M11 2c0 4-6 4-6 12",
	hold: "M5.500 3.500v9M10.500 3.500v9",
	key: "M10.500 2a3.500 3.500 0 1 1-2.900 5.500L2.500 12.600V14H5v-1.500h1.500V11L8 9.400M11 5h.01",
	list: "M2.500 4h11M2.500 8h11M2.500 12h7",
	mail: "M2 4h12v8.500H2zM2 4.500l6 4.500 6-4.500",
	none: "M4 8h8",
	pencil: "M3 13l.8-3.200 7-7 2.400 2.400-7 7zM9.500 4l2.400 2.400",
	out: "M9 3H3v10h6M7 8h7M11.500 5.500 14 8l-2.500 2.500",
	play: "M5 3.500v9l7-4.500z",
	plus: "M8 3v10M3 8h10",
	pulse: "M2 8.500h3l2-5 3 9 2-4h2",
	retry: "M13 8a5 5 0 1 1-1.500-3.600M13 2v3h-3",
	route: "M4 3a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3M12 10a1.500 1.500 0 1 0 0 3 1.500 1.500 0 0 0 0-3M4 6v3a2.500 2.500 0 0 0 2.500 2.500h4",
	rules: "M2.500 4h7M2.500 8h11M2.500 12h5M12.500 3v2",
	search: "M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9M10.500 10.500 14 14",
	shield: "M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4z",
	sliders: "M2.500 5h6M11.500 5h2M2.500 11h2M7.500 11h6M10 3.500v3M6 9.500v3",
	trash: "M3 4.500h10M6 4.500V3h4v1.500M4.500 4.500 5 13.500h6l.500-9",
	turn: "M3 5h6a3.500 3.500 0 0 1 0 7H6M5.500 2.500 3 5l2.500 2.500",
	warn: "M8 2.500 14.500 13.500h-13zM8 6.500v3.500M8 12h.01",
};

export function icon(name) {
	return svg(
		"svg.icon",
		{ viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
		svg("path", { d: paths[name] }),
	);
}
