# postbusctl: the administrator's tool
bin_PROGRAMS += postbusctl
postbusctl_CPPFLAGS = $(CPPFLAGS_KERNEL) -DSBINDIR='"$(sbindir)"'
postbusctl_CFLAGS = $(CFLAGS_KERNEL) $(SMARTCOLS_CFLAGS)
postbusctl_LDFLAGS = $(AM_LDFLAGS) -pie
postbusctl_LDADD = libpostbus.la $(JANSSON_LIBS) $(GNUTLS_LIBS) $(SMARTCOLS_LIBS)
postbusctl_SOURCES = \
	%D%/backup.c \
	%D%/certificate.c \
	%D%/client.c %D%/client.h \
	%D%/command.c %D%/command.h \
	%D%/init.c \
	%D%/offline.h \
	%D%/postbusctl.c \
	%D%/show.c %D%/show.h

# postbus-plugin: for those who write plugins
bin_SCRIPTS += %D%/postbus-plugin
EXTRA_DIST += %D%/postbus-plugin.in
CLEANFILES += %D%/postbus-plugin
%D%/postbus-plugin: %D%/postbus-plugin.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && sed -e 's,[@]sbindir[@],$(sbindir),' -e 's,[@]bindir[@],$(bindir),' -e 's,[@]plugindir[@],$(plugindir),' -e 's,[@]pkgdatadir[@],$(pkgdatadir),' $< > $@.part && chmod +x $@.part && mv $@.part $@
