/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PROXY protocol's header, version 1 (text) and 2 (binary), as its specification of 2020 says. Pure; who may send one is listener.c's business. */
#include <arpa/inet.h>
#include "kernel/session/frame.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static void map4(struct in6_addr *to, const void *four)
{
	memset(to, 0, sizeof *to);
	to->s6_addr[10] = to->s6_addr[11] = 0xff;
	memcpy(to->s6_addr + 12, four, 4);
}

static uint16_t port_at(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static int binary(const char *p, size_t n, struct proxy_header *ret)
{
	size_t known = n < sizeof signature ? n : sizeof signature, len;
	unsigned command, family;

	if (memcmp(p, signature, known) != 0)
		return PB_EINVALID;
	if (n < 16)
		return 0;
	len = 16 + (size_t)port_at(p + 14);
	command = (uint8_t)p[12];
	family = (uint8_t)p[13];
	if (len > PROXY_MAX || (command != 0x20 && command != 0x21))
		return PB_EINVALID;
	if (n < len)
		return 0;
	if (command == 0x20 || family == 0x00 || family == 0x31)
		return (int)len;	/* LOCAL, UNSPEC, a Unix socket: nothing is told about the client */
	if (family == 0x11 && len >= 16 + 12) {
		map4(&ret->peer, p + 16);
		map4(&ret->local, p + 20);
		ret->peer_port = port_at(p + 24);
		ret->local_port = port_at(p + 26);
	} else if (family == 0x21 && len >= 16 + 36) {
		memcpy(&ret->peer, p + 16, 16);
		memcpy(&ret->local, p + 32, 16);
		ret->peer_port = port_at(p + 48);
		ret->local_port = port_at(p + 50);
	} else {
		return PB_EINVALID;
	}
	ret->known = true;
	return (int)len;
}

static bool address(struct pb_str word, bool six, struct in6_addr *ret)
{
	char z[INET6_ADDRSTRLEN];
	struct in_addr four;

	if (word.len == 0 || word.len >= sizeof z || memchr(word.ptr, '\0', word.len))
		return false;
	memcpy(z, word.ptr, word.len);
	z[word.len] = '\0';
	if (six)
		return inet_pton(AF_INET6, z, ret) == 1;
	if (inet_pton(AF_INET, z, &four) != 1)
		return false;
	map4(ret, &four);
	return true;
}

static bool port(struct pb_str word, uint16_t *ret)
{
	uint64_t n;

	if (word.len == 0 || word.len > 5 || pb_str_u64(word, 65535, &n) != 0)
		return false;
	*ret = (uint16_t)n;
	return true;
}

static int text(const char *p, size_t n, struct proxy_header *ret)
{
	static const char start[] = "PROXY ";
	size_t known = n < 6 ? n : 6, seen = n < PROXY_V1_MAX ? n : PROXY_V1_MAX;
	const char *lf = memchr(p, '\n', seen);
	struct pb_str rest, words[5];
	bool six;

	if (memcmp(p, start, known) != 0)
		return PB_EINVALID;
	if (!lf)
		return n < PROXY_V1_MAX ? 0 : PB_EINVALID;
	if (lf - p < 7 || lf[-1] != '\r')
		return PB_EINVALID;
	rest = pb_str(p + 6, (size_t)(lf - p) - 7);
	if (pb_str_eq(rest, PB_STR("UNKNOWN")) || pb_str_starts(rest, PB_STR("UNKNOWN ")))
		return (int)(lf - p) + 1;
	for (int i = 0; i < 5; i++)
		if (!pb_str_cut(&rest, ' ', &words[i]))
			return PB_EINVALID;
	if (rest.ptr)
		return PB_EINVALID;
	six = pb_str_eq(words[0], PB_STR("TCP6"));
	if (!six && !pb_str_eq(words[0], PB_STR("TCP4")))
		return PB_EINVALID;
	if (!address(words[1], six, &ret->peer) || !address(words[2], six, &ret->local) || !port(words[3], &ret->peer_port) || !port(words[4], &ret->local_port))
		return PB_EINVALID;
	ret->known = true;
	return (int)(lf - p) + 1;
}

int proxy_parse(const char *p, size_t n, struct proxy_header *ret)
{
	struct proxy_header h = { .known = false };
	int len;

	if (n == 0)
		return 0;
	len = p[0] == signature[0] ? binary(p, n, &h) : text(p, n, &h);
	if (len > 0)
		*ret = h;
	return len;
}
