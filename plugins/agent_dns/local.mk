# agent_dns
if PLUGIN_AGENT_DNS
plugin_LTLIBRARIES += agent_dns.la
agent_dns_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_dns_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_dns_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_dns_la_LIBADD = $(LIBS_PLUGIN) $(UNBOUND_LIBS)
agent_dns_la_SOURCES = \
	%D%/plugin.c %D%/methods.h \
	%D%/mx.c \
	%D%/addresses.c %D%/addresses.h \
	%D%/records.c %D%/records.h \
	%D%/resolver.c %D%/resolver.h
dist_plugin_DATA += %D%/agent_dns.json
EXTRA_DIST += %D%/README.md

check_PROGRAMS += test_dns
TESTS += test_dns
test_dns_CPPFLAGS = $(CPPFLAGS_TEST)
test_dns_CFLAGS = $(CFLAGS_TEST)
test_dns_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(UNBOUND_LIBS)
test_dns_SOURCES = %D%/tests/test_dns.c %D%/mx.c %D%/addresses.c %D%/records.c %D%/resolver.c
endif
