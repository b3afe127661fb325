# libpostbus: what plugins link with. Knows nothing of the kernel.
lib_LTLIBRARIES += libpostbus.la
libpostbus_la_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)/sdk/include
libpostbus_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(IDN2_CFLAGS) -fvisibility=default
libpostbus_la_LDFLAGS = $(PB_LDFLAGS) -version-info 1:0:0 -no-undefined $(PB_ZDEFS)
libpostbus_la_LIBADD = $(JANSSON_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS)
libpostbus_la_SOURCES = \
	%D%/src/address.c \
	%D%/src/addrlist.c \
	%D%/src/build.c \
	%D%/src/census.c \
	%D%/src/charset.c \
	%D%/src/date.c \
	%D%/src/decode.c \
	%D%/src/discard.c \
	%D%/src/dispatch.c \
	%D%/src/domain.c \
	%D%/src/encode.c \
	%D%/src/envelope.c \
	%D%/src/error.c \
	%D%/src/exchange.c \
	%D%/src/facts.c \
	%D%/src/facts_read.c \
	%D%/src/header.c \
	%D%/src/imap.c \
	%D%/src/letter.c \
	%D%/src/login.c \
	%D%/src/memory.c \
	%D%/src/run.c \
	%D%/src/sasl.c \
	%D%/src/scan.c \
	%D%/src/search.c \
	%D%/src/str.c \
	%D%/src/table.c \
	%D%/src/value.c \
	%D%/src/verdict.c \
	%D%/src/verp.c \
	%D%/src/words.c \
	%D%/src/facts.h %D%/src/mail.h %D%/src/scan.h \
	%D%/src/host_ops.h %D%/src/host_ops.def

postbusincludedir = $(includedir)/postbus
postbusinclude_HEADERS = \
	%D%/include/postbus/address.h \
	%D%/include/postbus/bus.h \
	%D%/include/postbus/date.h \
	%D%/include/postbus/error.h \
	%D%/include/postbus/letter.h \
	%D%/include/postbus/link.h \
	%D%/include/postbus/login.h \
	%D%/include/postbus/mailbox.h \
	%D%/include/postbus/message.h \
	%D%/include/postbus/plugin.h \
	%D%/include/postbus/queue.h \
	%D%/include/postbus/run.h \
	%D%/include/postbus/sasl.h \
	%D%/include/postbus/secret.h \
	%D%/include/postbus/session.h \
	%D%/include/postbus/str.h \
	%D%/include/postbus/table.h

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = %D%/postbus-sdk.pc

EXTRA_DIST += %D%/example/conn_hello.c %D%/example/conn_hello.json %D%/example/Makefile %D%/example/README.md %D%/example/tests/hello.talk

include %D%/tests/local.mk

# A stranger's hour, as far as a machine can live it: the example and a new plugin are built out of tree, with pkg-config only, against what was installed.
installcheck-local:
	rm -rf installcheck && mkdir installcheck && cp -r $(srcdir)/sdk/example installcheck/conn_hello && chmod -R u+w installcheck
	PKG_CONFIG_PATH=$(DESTDIR)$(libdir)/pkgconfig PATH=$(DESTDIR)$(bindir):$$PATH LD_LIBRARY_PATH=$(DESTDIR)$(libdir); \
	export PKG_CONFIG_PATH PATH LD_LIBRARY_PATH; \
	(cd installcheck/conn_hello && $(MAKE) check CC="$(CC)") && \
	(cd installcheck && postbus-plugin new conn_fresh && cd conn_fresh && $(MAKE) check CC="$(CC)")
	rm -rf installcheck
