# What a distribution or a fresh machine needs beside the programs.
EXTRA_DIST += quickstart packages .ci/run .clang-format %D%/quickstart.py %D%/count-tests.py %D%/libtool-compiles-directly %D%/postbus.service.in
systemdunitdir = $(libdir)/systemd/system
systemdunit_DATA = %D%/postbus.service
CLEANFILES += %D%/postbus.service
%D%/postbus.service: %D%/postbus.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,[@]sbindir[@],$(sbindir),' $< > $@
# Not in EXTRA_DIST: "check" is a target too, and making a tarball would run all the tests.
dist-hook:
	cp -p $(srcdir)/check $(distdir)/check
