# What a distribution or a fresh machine needs beside the programs.
EXTRA_DIST += quickstart check packages .ci/run .clang-format %D%/quickstart.py %D%/count-tests.py %D%/postbus.service.in
systemdunitdir = $(libdir)/systemd/system
systemdunit_DATA = %D%/postbus.service
CLEANFILES += %D%/postbus.service
%D%/postbus.service: %D%/postbus.service.in
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,@sbindir@,$(sbindir),' $< > $@
