/* relay/reach.c - is this address one of our own listeners? */
#include "relay/reach.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "base/span.h"

/* "host:port" or "[host]:port" in its parts; an IPv4-mapped address becomes plain IPv4. */
struct place {
	unsigned char bytes[16];
	int family;
	struct span port;
};

static bool place_parse(const char *text, struct place *place)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct span all = span_of(text);
	size_t colon = span_find_last(all, ':');
	struct span host = span_first(all, colon);
	char name[INET6_ADDRSTRLEN];

	place->port = span_skip(all, colon + 1);
	if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	if (host.len >= sizeof(name))
		return false;
	memcpy(name, host.data, host.len);
	name[host.len] = '\0';
	memset(place->bytes, 0, sizeof(place->bytes));
	place->family = AF_INET;
	if (inet_pton(AF_INET, name, place->bytes) == 1)
		return true;
	place->family = AF_INET6;
	if (inet_pton(AF_INET6, name, place->bytes) != 1)
		return false;
	if (memcmp(place->bytes, mapped, sizeof(mapped)) == 0) {
		memmove(place->bytes, place->bytes + 12, 4);
		memset(place->bytes + 4, 0, 12);
		place->family = AF_INET;
	}
	return true;
}

static bool is_wildcard(const struct place *place)
{
	static const unsigned char zero[16];

	return memcmp(place->bytes, zero, sizeof(zero)) == 0;
}

static bool is_of_this_machine(const struct place *place)
{
	struct ifaddrs *all;
	bool found = false;

	if (place->family == AF_INET && place->bytes[0] == 127)
		return true;
	if (getifaddrs(&all) != 0)
		return true; /* fail closed: rather late than in a loop */
	for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next) {
		if (one->ifa_addr == NULL || one->ifa_addr->sa_family != place->family)
			continue;
		if (place->family == AF_INET) {
			struct sockaddr_in in;

			memcpy(&in, one->ifa_addr, sizeof(in));
			found = memcmp(&in.sin_addr, place->bytes, 4) == 0;
		} else {
			struct sockaddr_in6 in6;

			memcpy(&in6, one->ifa_addr, sizeof(in6));
			found = memcmp(&in6.sin6_addr, place->bytes, 16) == 0;
		}
	}
	freeifaddrs(all);
	return found;
}

static bool is_one_place(const struct place *a, const struct place *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 &&
	       span_equal(a->port, b->port);
}

/* One socket may have several paths: /var/run is /run. */
static bool is_same_path(const char *a, const char *b)
{
	struct stat one;
	struct stat other;

	if (strcmp(a, b) == 0)
		return true;
	if (strncmp(a, "unix:", 5) != 0 || strncmp(b, "unix:", 5) != 0)
		return false;
	return stat(a + 5, &one) == 0 && stat(b + 5, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

bool reach_is_equal(const char *a, const char *b)
{
	struct place one;
	struct place other;

	if (strncmp(a, "unix:", 5) == 0 || strncmp(b, "unix:", 5) == 0)
		return strcmp(a, b) == 0;
	return place_parse(a, &one) && place_parse(b, &other) && is_one_place(&one, &other);
}

bool reach_is_same(const char *address, const char *listener)
{
	struct place to;
	struct place ours;

	if (strncmp(address, "unix:", 5) == 0 || strncmp(listener, "unix:", 5) == 0)
		return is_same_path(address, listener);
	if (!place_parse(address, &to) || !place_parse(listener, &ours))
		return false;
	if (!span_equal(to.port, ours.port))
		return false;
	/* Connecting to 0.0.0.0 or :: reaches this machine. */
	if (is_wildcard(&to))
		return true;
	if (is_wildcard(&ours))
		return is_of_this_machine(&to);
	return is_one_place(&to, &ours);
}
