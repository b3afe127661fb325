/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ports that only root opens, kept over a plugin's disable and enable by a daemon that is somebody else by then. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "kernel/session/internal.h"

void low_port_leave(struct sessions *ss, const char *address, uint16_t port, int fd)
{
	/* Linux lets a socket that listens go back to one that is bound. */
	if (port && port < IPPORT_RESERVED && geteuid() != 0 && shutdown(fd, SHUT_RD) == 0)
		low_port_keep(ss, address, port, fd);
	else
		close(fd);
}

void low_port_keep(struct sessions *ss, const char *address, uint16_t port, int fd)
{
	struct low_port *kept = pb_alloc(sizeof *kept);

	*kept = (struct low_port){ .address = pb_str_dup(pb_strz(address)), .port = port, .fd = fd };
	pthread_mutex_lock(&ss->lock);
	kept->next = ss->low_ports;
	ss->low_ports = kept;
	pthread_mutex_unlock(&ss->lock);
}

int low_port_take(struct sessions *ss, const char *address, uint16_t port)
{
	struct low_port **at, *kept;
	int fd = -1;

	pthread_mutex_lock(&ss->lock);
	for (at = &ss->low_ports; *at && ((*at)->port != port || strcmp((*at)->address, address) != 0); at = &(*at)->next)
		;
	kept = *at;
	if (kept) {
		*at = kept->next;
		fd = kept->fd;
		free(kept->address);
		free(kept);
	}
	pthread_mutex_unlock(&ss->lock);
	return fd;
}

void low_ports_free(struct sessions *ss)
{
	for (struct low_port *kept = ss->low_ports, *next; kept; kept = next) {
		next = kept->next;
		close(kept->fd);
		free(kept->address);
		free(kept);
	}
	ss->low_ports = NULL;
}
