# postbusctl: the administrator's tool
bin_PROGRAMS += postbusctl
postbusctl_CPPFLAGS = $(CPPFLAGS_KERNEL) -DSBINDIR='"$(sbindir)"'
postbusctl_CFLAGS = $(CFLAGS_KERNEL) $(SMARTCOLS_CFLAGS)
postbusctl_LDFLAGS = $(PB_LDFLAGS) -pie
postbusctl_LDADD = libpostbus.la $(JANSSON_LIBS) $(GNUTLS_LIBS) $(SMARTCOLS_LIBS)
postbusctl_SOURCES = \
	%D%/backup.c \
	%D%/certificate.c \
	%D%/client.c %D%/client.h \
	%D%/command.c %D%/command.h \
	%D%/given_file.c \
	%D%/import.c %D%/import.h \
	%D%/import_feed.c \
	%D%/import_file.c \
	%D%/import_groups.c \
	%D%/import_mai.c \
	%D%/import_maildir.c \
	%D%/import_mailenable.c \
	%D%/import_list.c %D%/import_list.h \
	%D%/import_office_list.c \
	%D%/import_mbox.c \
	%D%/import_literal.c %D%/import_literal.h \
	%D%/import_mailman.c \
	%D%/import_mlmmj.c \
	%D%/import_office.c %D%/office.h \
	%D%/init.c \
	%D%/mailenable.c %D%/mailenable.h \
	%D%/mbox.c %D%/mbox.h \
	%D%/offline.h \
	%D%/postbusctl.c \
	%D%/show.c %D%/show.h

# What import understands of other servers' files.
IMPORT_PARSERS = %D%/import_literal.c %D%/import_literal.h %D%/mailenable.c %D%/mailenable.h %D%/mbox.c %D%/mbox.h
check_PROGRAMS += test_import
TESTS += test_import
test_import_CPPFLAGS = $(CPPFLAGS_TEST)
test_import_CFLAGS = $(CFLAGS_TEST)
test_import_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_import_SOURCES = %D%/tests/test_import.c $(IMPORT_PARSERS)
if FUZZ
FUZZERS += fuzz_import
fuzz_import_SOURCES = tests/fuzz/fuzz_import.c $(IMPORT_PARSERS)
fuzz_import_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_import_CFLAGS = $(CFLAGS_FUZZ)
fuzz_import_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_import_LDADD = $(LIBS_PLUGIN)
endif
check_PROGRAMS += try_fuzz_import
TESTS += try_fuzz_import
try_fuzz_import_SOURCES = tests/fuzz/fuzz_import.c tests/fuzz/run.c $(IMPORT_PARSERS)
try_fuzz_import_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_import_CFLAGS = $(CFLAGS_TEST)
try_fuzz_import_LDADD = libpostbus.la $(JANSSON_LIBS)
EXTRA_DIST += tests/fuzz/fuzz_import.c docs/decisions/061-import-from-outside.md

# postbus-plugin: for those who write plugins
bin_SCRIPTS += %D%/postbus-plugin
EXTRA_DIST += %D%/postbus-plugin.in
CLEANFILES += %D%/postbus-plugin
%D%/postbus-plugin: %D%/postbus-plugin.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,[@]sbindir[@],$(sbindir),' -e 's,[@]bindir[@],$(bindir),' -e 's,[@]plugindir[@],$(plugindir),' -e 's,[@]pkgdatadir[@],$(pkgdatadir),' $< > $@.part && chmod +x $@.part && mv $@.part $@
