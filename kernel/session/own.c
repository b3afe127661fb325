/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which addresses lead back to us: what listeners are bound to, and what this machine is called by its interfaces. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include "kernel/session/internal.h"

static bool parse(const char *text, struct in6_addr *ret)
{
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) != 1)
		return inet_pton(AF_INET6, text, ret) == 1;
	memset(ret, 0, sizeof *ret);
	ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
	memcpy(ret->s6_addr + 12, &four, 4);
	return true;
}

static bool is_of_interface(const struct sockaddr *sa, const struct in6_addr *address)
{
	if (sa && sa->sa_family == AF_INET)
		return IN6_IS_ADDR_V4MAPPED(address) && memcmp(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, address->s6_addr + 12, 4) == 0;
	return sa && sa->sa_family == AF_INET6 && memcmp(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, address, sizeof *address) == 0;
}

/* All of 127.0.0.0/8 is this machine's, whatever its interface says; so is the address that means "here". */
static bool is_of_machine(const struct in6_addr *address)
{
	struct ifaddrs *list;
	bool found = false;

	if (IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address))
		return true;
	if (IN6_IS_ADDR_V4MAPPED(address) && (address->s6_addr[12] == 127 || memcmp(address->s6_addr + 12, "\0\0\0", 4) == 0))
		return true;
	if (getifaddrs(&list) != 0)
		return false;
	for (struct ifaddrs *one = list; one && !found; one = one->ifa_next)
		found = is_of_interface(one->ifa_addr, address);
	freeifaddrs(list);
	return found;
}

static bool leads_to(const struct listener *l, const char *plugin, const struct in6_addr *address, uint16_t port, bool *ret_everywhere)
{
	struct in6_addr own;

	if (!l || l->port != port || strcmp(l->plugin, plugin) != 0 || !l->address || !parse(l->address, &own))
		return false;
	*ret_everywhere |= l->wildcard;
	return !l->wildcard && memcmp(&own, address, sizeof own) == 0;
}

bool host_link_is_own(struct pb_host *host, struct pb_str address, uint16_t port)
{
	struct sessions *ss = host->kernel->sessions;
	bool own = false, everywhere = false;
	char z[INET6_ADDRSTRLEN];
	struct in6_addr to;

	if (!ss || !address.len || address.len >= sizeof z)
		return false;
	memcpy(z, address.ptr, address.len);
	z[address.len] = '\0';
	if (!parse(z, &to))
		return false;
	pthread_mutex_lock(&ss->lock);
	for (size_t i = 0; i < ss->nlisteners && !own; i++)
		own = leads_to(ss->listeners[i], host->name, &to, port, &everywhere);
	pthread_mutex_unlock(&ss->lock);
	return own || (everywhere && is_of_machine(&to));
}
