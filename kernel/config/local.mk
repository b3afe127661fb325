# postbus.json and the checker of everything that manifests describe
libkernel_la_SOURCES += %D%/config.c %D%/config.h %D%/guard.c %D%/guard.h %D%/schema.c %D%/schema.h %D%/shape.c %D%/shape.h
nodist_libkernel_la_SOURCES += %D%/fields_json.h
EXTRA_DIST += %D%/fields.json
BUILT_SOURCES += %D%/fields_json.h
CLEANFILES += %D%/fields_json.h

check_PROGRAMS += test_schema
TESTS += test_schema
test_schema_CPPFLAGS = $(CPPFLAGS_TEST)
test_schema_CFLAGS = $(CFLAGS_TEST)
test_schema_LDADD = $(LIBS_TEST)
test_schema_SOURCES = %D%/tests/test_schema.c
