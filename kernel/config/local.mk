# postbus.json and the checker of everything that manifests describe
libkernel_la_SOURCES += %D%/config.c %D%/config.h %D%/schema.c %D%/schema.h
nodist_libkernel_la_SOURCES += %D%/fields_json.h
EXTRA_DIST += %D%/fields.json
BUILT_SOURCES += %D%/fields_json.h
CLEANFILES += %D%/fields_json.h
