# one room of the kernel
libkernel_la_SOURCES += %D%/change.c %D%/copy.c %D%/host_plugin.c %D%/life.c %D%/listen.c %D%/manifest.c %D%/manifest.h %D%/object.c %D%/order.c %D%/plugin.h %D%/plugins.c %D%/plugins.h \
	%D%/reread.c %D%/settings.c %D%/settings.h %D%/trial.c %D%/values.c
nodist_libkernel_la_SOURCES += %D%/manifest_fields_json.h
EXTRA_DIST += %D%/manifest_fields.json
BUILT_SOURCES += %D%/manifest_fields_json.h
CLEANFILES += %D%/manifest_fields_json.h

check_PROGRAMS += test_manifest
TESTS += test_manifest
test_manifest_CPPFLAGS = $(CPPFLAGS_TEST)
test_manifest_CFLAGS = $(CFLAGS_TEST)
test_manifest_LDADD = $(LIBS_TEST)
test_manifest_SOURCES = %D%/tests/test_manifest.c
