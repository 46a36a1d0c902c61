// format.js - numbers, sizes, times and states in words

const number = new Intl.NumberFormat("en");
const dayTime = new Intl.DateTimeFormat(undefined, {
	month: "short",
	day: "numeric",
	hour: "2-digit",
	minute: "2-digit",
	hourCycle: "h23",
});
const clock = new Intl.DateTimeFormat(undefined, {
	hour: "2-digit",
	minute: "2-digit",
	second: "2-digit",
	hourCycle: "h23",
});
const whole = new Intl.DateTimeFormat(undefined, {
	dateStyle: "medium",
	timeStyle: "long",
	hourCycle: "h23",
});

export const count = n => number.format(n);

// plural(2, "recipient") - "2 recipients"
export function plural(n, one, many = one + "s") {
	return `${count(n)} ${n === 1 ? one : many}`;
}

export function size(bytes) {
	if (bytes < 1000) return `${bytes} B`;
	for (const unit of ["kB", "MB", "GB"]) {
		bytes /= 1000;
		if (bytes < 999.5 || unit === "GB")
			return `${bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${unit}`;
	}
}

export function span(ms) {
	const s = Math.max(0, Math.round(ms / 1000));

	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min`;
	if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
	return `${Math.floor(s / 86400)} d`;
}

// Short, as a list shows it; the title of the element has the whole.
export function when(text) {
	const time = new Date(text);

	return time.toDateString() === new Date().toDateString()
		? clock.format(time)
		: dayTime.format(time);
}

export const whenWhole = text => whole.format(new Date(text));

// "in 5 min", "3 h ago"
export function relative(text, now = Date.now()) {
	const ms = new Date(text).getTime() - now;

	return ms >= 0 ? `in ${span(ms)}` : `${span(-ms)} ago`;
}

// Every state has a word, a drawing and a colour; the order is that of a recipient's life.
export const states = {
	screening: { word: "Screening", icon: "clock", says: "waits for the policy hook" },
	queued: { word: "Queued", icon: "clock", says: "waits for its turn" },
	delivering: { word: "Delivering", icon: "arrow", says: "is being sent" },
	deferred: { word: "Deferred", icon: "retry", says: "is tried again" },
	held: { word: "Held", icon: "hold", says: "waits for a person" },
	delivered: { word: "Delivered", icon: "check", says: "the next hop took it" },
	redirected: { word: "Redirected", icon: "turn", says: "somebody else gets it" },
	dropped: { word: "Dropped", icon: "ban", says: "kept here, not sent" },
	failed: { word: "Failed", icon: "cross", says: "the next hop refused it" },
	expired: { word: "Expired", icon: "glass", says: "was tried for too long" },
	cancelled: { word: "Cancelled", icon: "none", says: "a person stopped it" },
};

export const isFinal = state => !["screening", "queued", "delivering", "deferred"].includes(state);

// What can be done to a recipient in a state (queue/act.h decides; the page only offers what may work).
export const acts = {
	retry: {
		word: "Try now",
		all: "Try all now",
		icon: "retry",
		from: ["queued", "deferred", "failed", "expired"],
	},
	release: { word: "Release", all: "Release all", icon: "play", from: ["held", "dropped"] },
	hold: {
		word: "Hold",
		all: "Hold all",
		icon: "hold",
		from: ["queued", "deferred", "delivering", "screening"],
	},
	cancel: {
		word: "Cancel",
		all: "Cancel all",
		icon: "none",
		from: ["queued", "deferred", "held", "delivering", "screening"],
	},
};

// For where there is little room: 12k
export function short(n) {
	return n < 10000
		? count(n)
		: n < 1000000
			? `${Math.floor(n / 1000)}k`
			: `${Math.floor(n / 1000000)}M`;
}

export const mailbox = address => (address === "" ? "<>" : address);
