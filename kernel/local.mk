# The kernel: one convenience library, so that unit tests and the testkit link the same objects, and postbusd, which is main.c and nothing else.
noinst_LTLIBRARIES += libkernel.la
libkernel_la_CPPFLAGS = $(CPPFLAGS_KERNEL) -DPLUGINDIR='"$(plugindir)"' -DPKGDATADIR='"$(pkgdatadir)"'
libkernel_la_CFLAGS = $(CFLAGS_KERNEL) $(SECCOMP_CFLAGS) $(CAPNG_CFLAGS)
libkernel_la_LIBADD = libpostbus.la $(GNUTLS_LIBS) $(JANSSON_LIBS) $(BDB_LIBS) $(ZSTD_LIBS) $(LTDL_LIBS) $(SECCOMP_LIBS) $(CAPNG_LIBS) -lpthread
nodist_libkernel_la_SOURCES =
libkernel_la_SOURCES = %D%/kernel.h %D%/host.h %D%/host.c %D%/rights.c %D%/sandbox.c %D%/sandbox.h %D%/check.c %D%/check.h %D%/broker.c %D%/broker.h %D%/run.c %D%/entrance.c %D%/entrance.h

include %D%/clock/local.mk
include %D%/log/local.mk
include %D%/config/local.mk
include %D%/store/local.mk
include %D%/queue/local.mk
include %D%/session/local.mk
include %D%/bus/local.mk
include %D%/plugin/local.mk
include %D%/control/local.mk

sbin_PROGRAMS += postbusd
postbusd_CPPFLAGS = $(CPPFLAGS_KERNEL) -DPLUGINDIR='"$(plugindir)"'
postbusd_CFLAGS = $(CFLAGS_KERNEL)
postbusd_LDFLAGS = $(PB_LDFLAGS) -pie
postbusd_SOURCES = %D%/main.c
postbusd_LDADD = libkernel.la libpostbus.la

# JSON that is built in: as one C string.
%_json.h: %.json
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@
